"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const lines = [...document.querySelectorAll("tr[data-row]")];
const decisions = { a: "accept", k: "keep", s: "skip" };
let current = 0;

function show() {
  const decided = facts.rows.filter((row) => row.decision).length;
  document.getElementById("count").textContent =
    `${decided} of ${facts.rows.length} decided`;
  lines.forEach((line, number) => {
    const { decision } = facts.rows[number];
    line.querySelector(".decision").textContent = decision;
    line.style.outline = number === current ? "2px solid var(--link)" : "none";
  });
  lines[current].scrollIntoView({ block: "nearest" });
}

function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save() {
  const rows = facts.rows.map((row) =>
    facts.columns.map((name) => quoted(row[name])).join(","),
  );
  const text = [facts.columns.join(","), ...rows, ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${facts.pipeline}-labels.csv`;
  link.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.tagName === "SELECT") return;
  const decision = decisions[event.key.toLowerCase()];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key] || (decision ? 1 : 0);
  if (!step) return;
  if (decision) facts.rows[current].decision = decision;
  current = Math.min(Math.max(current + step, 0), lines.length - 1);
  event.preventDefault();
  show();
});
lines.forEach((line, number) => {
  line.addEventListener("click", () => {
    current = number;
    show();
  });
  line.querySelector("select")?.addEventListener("change", (event) => {
    facts.rows[number].proposed = event.target.value;
    event.target.blur();
  });
});
document.getElementById("save").addEventListener("click", save);
show();
