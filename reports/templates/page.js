"use strict";
const number = (text) => (text === "" ? NaN : Number(text));
const compare = (a, b) => {
  const [x, y] = [number(a), number(b)];
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  if (a === "" || b === "") return (a === "") - (b === "");
  return a.localeCompare(b, "en", { numeric: true });
};
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const key = (row) => row.cells[column].dataset.sort;
    const rows = [...body.rows].sort((a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
      return (down ? -1 : 1) * compare(key(a), key(b));
    });
    body.append(...rows);
  }));
}
for (const field of document.querySelectorAll(".filter input")) {
  const rows = field.closest(".table").querySelector("tbody").rows;
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    field.parentElement.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  });
}
for (const figure of document.querySelectorAll(".compare")) {
  const [range, stack] = [figure.querySelector("input"), figure.querySelector(".stack")];
  range.addEventListener("input", () => stack.style.setProperty("--at", `${range.value}%`));
}
const dialog = document.getElementById("enlarged");
const enlarge = (node) => {
  dialog.querySelector("div").replaceChildren(node.cloneNode(true));
  dialog.showModal();
};
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => enlarge(button.firstElementChild));
}
for (const button of document.querySelectorAll(".enlarge-figure")) {
  button.addEventListener("click", () => enlarge(button.parentElement.querySelector("svg")));
}
