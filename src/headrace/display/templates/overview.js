"use strict";
const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

function age(date, begun) {
  const seconds = (date - Date.now()) / 1000;
  for (const [unit, size] of units)
    if (Math.abs(seconds) >= size)
      return (begun ? "since " : "") + words.format(Math.round(seconds / size), unit);
  return begun || "just now";
}

for (const time of document.querySelectorAll("time")) {
  const date = new Date(time.dateTime);
  if (isNaN(date)) continue;
  time.title = date.toLocaleString();
  if (!time.closest("footer")) time.textContent = age(date, time.dataset.new);
}

for (const code of document.querySelectorAll(".command")) {
  const text = code.textContent;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "copy";
  button.setAttribute("aria-label", `copy ${text}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  });
  code.append(button);
}

if (location.protocol !== "file:")
  setInterval(() => {
    const busy = document.querySelector("details[open]") || String(getSelection());
    if (!document.hidden && !busy) location.reload();
  }, 30000);
