// The tiles of a figure: a grid to sort, to thin out, and to walk through with the arrow keys.

const AT_ONCE = 256; // tiles of a layer; the rest is asked for

const span = (className, textContent) => Object.assign(document.createElement("span"), { className, textContent });

/** The tiles of a figure, in the order and choice that its tools say. */
class Grid {
  constructor(maps) {
    this.maps = maps;
    this.figure = maps.figure;
    this.box = this.figure.querySelector(".tiles");
    this.select = this.figure.querySelector(".sort select");
    this.hide = this.figure.querySelector(".hide input");
    this.tiles = maps.data.names.map((name, index) => this.tile(name, index));
    this.most = AT_ONCE;
    this.figure.querySelectorAll(".tools label").forEach((label) => (label.hidden = false));
    this.select?.addEventListener("change", () => this.arrange());
    this.hide?.addEventListener("change", () => this.arrange());
    this.box.addEventListener("keydown", (event) => this.move(event));
    this.figure.classList.add("ready");
    this.arrange();
  }

  tile(name, index) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "tile", tabIndex: -1 });
    const { blank, framed } = this.maps.data;
    button.classList.toggle("blank", blank.includes(index));
    button.classList.toggle("framed", framed.includes(index));
    const state = `${blank.includes(index) ? "blank " : ""}${framed.includes(index) ? "framed" : ""}`;
    const words = [
      span("spoken", this.maps.pictures ? "" : "Feature map "),
      span("number", name),
      span("spoken what", ""),
      span("note", ""),
      span("spoken", ` ${state}`),
    ];
    const canvas = document.createElement("canvas");
    canvas.style.aspectRatio = `${this.maps.data.size[1]} / ${this.maps.data.size[0]}`;
    button.append(...words, canvas);
    button.addEventListener("click", () => zoom.open(this, index));
    return button;
  }

  /** The maps that are shown, in order. */
  get order() {
    const { numbers, blank, names } = this.maps.data;
    const values = numbers[this.select?.value];
    const shown = names.map((_, index) => index).filter((index) => !this.hide?.checked || !blank.includes(index));
    if (values) shown.sort((a, b) => (values[b] ?? -Infinity) - (values[a] ?? -Infinity) || a - b);
    return shown;
  }

  arrange() {
    const order = this.order;
    const shown = order.slice(0, this.most);
    this.box.replaceChildren(...shown.map((index) => this.tiles[index]));
    for (const index of shown) this.label(index);
    this.focusable = this.tiles[shown.find((index) => this.tiles[index].tabIndex === 0) ?? shown[0]];
    this.more(order.length - shown.length);
    if (this.drawn) this.draw();
  }

  label(index) {
    const { numbers, notes, titles, meanings } = this.maps.data;
    const name = this.select?.value || this.select?.options[1]?.value;
    const note = notes[index] ?? (name ? this.maps.words(name, numbers[name][index], 2) : "");
    Object.assign(this.tiles[index].querySelector(".note"), { textContent: note, title: meanings[notes[index] ? "note" : name] ?? "" });
    this.tiles[index].querySelector(".what").textContent = ` ${titles[name] ?? ""} `;
  }

  set focusable(tile) {
    this.tiles.forEach((each) => (each.tabIndex = each === tile ? 0 : -1));
  }

  more(rest) {
    this.figure.querySelector(".more")?.remove();
    if (rest <= 0) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button more" });
    button.textContent = `Show ${Math.min(rest, AT_ONCE)} more of ${rest}`;
    button.addEventListener("click", () => {
      this.most += AT_ONCE;
      this.arrange();
    });
    this.box.after(button);
  }

  /** Draw the tiles that are not drawn yet. */
  draw() {
    this.drawn = true;
    for (const tile of this.box.children) {
      if (tile.dataset.drawn) continue;
      tile.dataset.drawn = "yes";
      const index = this.tiles.indexOf(tile);
      const canvas = this.maps.canvas(this.maps.pictures ? 2 * SIDE : SIDE, tile.querySelector("canvas"));
      if (!tile.classList.contains("blank")) this.maps.draw(canvas, index);
    }
  }

  move(event) {
    const tiles = [...this.box.children];
    const here = tiles.indexOf(document.activeElement);
    const row = tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop);
    const across = row < 0 ? tiles.length : row;
    const steps = { ArrowLeft: here - 1, ArrowRight: here + 1, ArrowUp: here - across, ArrowDown: here + across, Home: 0, End: tiles.length - 1 };
    if (here < 0 || !(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = tiles[steps[event.key]];
    if (next) this.focus(this.tiles.indexOf(next));
  }

  focus(index) {
    this.focusable = this.tiles[index];
    this.tiles[index].focus();
  }
}
