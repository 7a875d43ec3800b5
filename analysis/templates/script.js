// Sorts a table by a column: by the number that a cell begins with where there is one, else by its text, as dates are.
document.addEventListener("click", event => {
  const button = event.target.closest("th button");
  if (!button) return;
  const head = button.parentElement, table = head.closest("table"), column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => {
    const text = row.cells[column].textContent.trim();
    const number = /^\d{4}-\d\d-/.test(text) ? NaN : parseFloat(text.replace(/^</, ""));
    return [Number.isNaN(number), Number.isNaN(number) ? text : number];
  };
  const rows = [...table.tBodies[0].rows].map((row, place) => [value(row), place, row]);
  rows.sort(([a, i], [b, j]) => {
    if (a[0] !== b[0]) return a[0] - b[0];
    const order = a[0] ? a[1].localeCompare(b[1]) : a[1] - b[1];
    return (down ? -order : order) || i - j;
  });
  table.tBodies[0].append(...rows.map(entry => entry[2]));
});
