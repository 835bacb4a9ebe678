/** Keys: arrows move among the layers and the feature maps, Escape goes up, from a map to its layer to all layers. */

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MOVED = ".layers, .strip, .grid";
const TYPED = "input:not([type=checkbox]):not([type=radio]), select, textarea";

export function listenToKeys(app) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (document.querySelector("dialog[open]")) return;
    const step = STEPS[event.key],
      group = event.target.closest?.(MOVED);
    if (step && group && event.target.closest("button")) {
      event.preventDefault();
      beside(group, event.target.closest("button"), step)?.focus();
    } else if (event.key === "Escape" && !event.target.matches?.(TYPED)) up(app);
  });
}

/** The neighbour of a tile in a grid whose number of columns is the browser's business. */
function beside(group, from, [across, down]) {
  const tiles = [...group.children],
    at = tiles.indexOf(from);
  const columns = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
  return tiles[at + across + down * columns];
}

function up(app) {
  const { view, map, layer } = app.state;
  if (view !== "look" || layer === null) return;
  if (map === null) {
    app.store.set({ layer: null, map: null, stimulated: false }, { step: true });
    return focus([...document.querySelectorAll("#layers .layer")].find((each) => each.querySelector("b").textContent === layer));
  }
  app.store.set({ map: null, stimulated: false }, { step: true });
  return focus(document.querySelector(`#grid [data-map="${map}"]`));
}

/** Where one came from; the main part where that is not shown. */
function focus(element) {
  (element?.isConnected ? element : document.getElementById("main")).focus({ preventScroll: !element });
}
