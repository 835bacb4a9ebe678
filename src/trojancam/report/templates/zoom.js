// The dialog in which a map is large; what starts everything stands at its end.

/** The dialog in which a map is large. */
class Zoom {
  constructor(dialog) {
    this.dialog = dialog;
    this.canvas = dialog.querySelector("canvas");
    this.view = "over";
    dialog.addEventListener("keydown", (event) => this.key(event));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => this.grid.tiles[this.index].isConnected && this.grid.focus(this.index));
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    for (const button of dialog.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    }
  }

  open(grid, index) {
    this.grid = grid;
    this.index = index;
    this.show();
    this.dialog.showModal();
  }

  show() {
    const { maps } = this.grid;
    const title = maps.title(this.index);
    this.dialog.querySelector("h2").textContent = title;
    this.canvas.setAttribute("aria-label", title);
    const facts = maps.facts(this.index).flatMap(([name, words, title]) => [element("dt", name, title), element("dd", words)]);
    this.dialog.querySelector("dl").replaceChildren(...facts);
    this.dialog.querySelector(".legend").replaceChildren(...(maps.legend ? maps.legend.cloneNode(true).childNodes : []));
    this.choices(maps.pictures ? { over: "Heat", image: "Image" } : { over: "Over the image", cells: "Cells", image: "Image" });
    maps.enlarge(this.canvas, this.index, this.view);
  }

  choices(names) {
    if (!(this.view in names)) this.view = "over";
    const box = this.dialog.querySelector(".views");
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset.view : null;
    const buttons = Object.entries(names).map(([view, words]) => {
      const button = Object.assign(element("button", words), { type: "button", className: "button" });
      button.dataset.view = view;
      button.setAttribute("aria-pressed", String(view === this.view));
      button.addEventListener("click", () => {
        this.view = view;
        this.show();
      });
      return button;
    });
    box.replaceChildren(...buttons);
    buttons.find((button) => button.dataset.view === focused)?.focus();
  }

  step(by) {
    const { order } = this.grid;
    this.index = order[(order.indexOf(this.index) + by + order.length) % order.length];
    this.show();
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.step(steps[event.key]);
  }
}

const element = (name, words, title = "") => Object.assign(document.createElement(name), { textContent: words }, title && { title });

const zoom = new Zoom(document.getElementById("zoom"));
const grids = new Map();
const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => grids.get(entry.target)?.draw()),
  { rootMargin: "800px" },
);
for (const figure of document.querySelectorAll("figure.maps")) {
  const maps = new Maps(figure);
  Promise.all(maps.images.map((image) => image.decode())).then(() => {
    grids.set(figure, new Grid(maps));
    near.observe(figure);
  });
}
addEventListener("beforeprint", () => grids.forEach((grid) => grid.draw()));
