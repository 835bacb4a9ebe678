// Tables sort by the column whose heading is pressed: numbers by value, all else by the alphabet. Some rows can be picked.

/** The number that a cell begins with, whatever follows it; NaN where there is none. */
const leading = (text) => parseFloat(text.trim().replace("\u2212", "-").replaceAll(",", ""));

function compare(a, b) {
  const [x, y] = [leading(a), leading(b)];
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return Number.isNaN(x) ? a.localeCompare(b) : x - y;
}

function sort(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const numeric = [...table.tBodies[0].rows].some((row) => !Number.isNaN(leading(row.cells[column].textContent)));
  const before = headings[column].getAttribute("aria-sort");
  const way = before ? (before === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending";
  headings.forEach((heading) => heading.removeAttribute("aria-sort"));
  headings[column].setAttribute("aria-sort", way);
  const rows = [...table.tBodies[0].rows];
  const known = (row) => row.cells[column].textContent.trim().replace("\u2013", "") !== "";
  rows.sort((a, b) => {
    if (known(a) !== known(b)) return known(a) ? -1 : 1;
    const order = compare(a.cells[column].textContent, b.cells[column].textContent);
    return way === "ascending" ? order : -order;
  });
  table.tBodies[0].append(...rows);
}

const FEW = 4; // rows that are seen at a glance

for (const table of document.querySelectorAll("table.sortable")) {
  if (table.tBodies[0].rows.length < FEW) continue;
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    const words = document.createElement("span");
    words.append(...heading.childNodes);
    button.append(words);
    button.addEventListener("click", () => sort(table, column));
    heading.append(button);
  });
}

/** Above a table: a field for words that rows are to hold, and a list of values for each column that has few. */
function filter(table) {
  const rows = [...table.tBodies[0].rows];
  const tools = document.createElement("div");
  tools.className = "tools";
  const labelled = (words, input) => {
    const label = document.createElement("label");
    label.append(words, input);
    tools.append(label);
    input.addEventListener("input", show);
    return input;
  };
  const words = labelled("Rows with", Object.assign(document.createElement("input"), { type: "search" }));
  const columns = (table.dataset.choices || "").split(",").filter(Boolean).map(Number);
  const lists = columns.map((column) => {
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))].sort();
    const list = document.createElement("select");
    list.append(new Option("all", ""), ...values.map((value) => new Option(`${value}`, `=${value}`)));
    return [column, labelled(table.tHead.rows[0].cells[column].textContent, list)];
  });
  const told = Object.assign(document.createElement("span"), { role: "status" });
  tools.append(told);
  function show() {
    const wanted = words.value.toLowerCase().replaceAll("-", "\u2212").split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase().replaceAll("-", "\u2212"); // numbers have a minus, names a hyphen
      row.hidden = !wanted.every((word) => text.includes(word))
        || !lists.every(([column, list]) => !list.value || `=${row.cells[column].textContent}` === list.value);
      shown += !row.hidden;
    }
    told.textContent = `${shown} of ${rows.length} rows`;
  }
  show();
  table.closest(".scroll").before(tools);
}

document.querySelectorAll("table.filtered").forEach(filter);
