"use strict";
// Every table of two rows or more is sorted by a column on a press of its header.
for (const table of document.querySelectorAll("table")) {
  const bodies = [...table.tBodies];
  const rows = bodies.length > 1 ? bodies : [...bodies[0].rows];
  if (rows.length < 2) continue;
  const text = (row, k) => (row.rows?.[0] ?? row).cells[k]?.textContent.trim() ?? "";
  const number = (text) => Number(text.replace("−", "-").replace("∞", "Infinity")
    .match(/^(?:[≤≥=]|off by)?\s*(-?(?:[\d.]+(?:e[-+]?\d+)?|Infinity))(?![\w-])/)?.[1] ?? NaN);
  const compare = (one, other) => {
    const [a, b] = [number(one), number(other)];
    if (isNaN(a) && isNaN(b)) return one.localeCompare(other, "en", { numeric: true });
    return isNaN(a) - isNaN(b) || (a === b ? 0 : a - b);
  };
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const sign = header.ariaSort === "ascending" ? -1 : 1;
      for (const each of headers) each.ariaSort = null;
      header.ariaSort = sign > 0 ? "ascending" : "descending";
      rows.sort((one, other) => sign * compare(text(one, k), text(other, k)));
      rows[0].parentNode.append(...rows);
    });
  });
  table.classList.add("sortable");
}
