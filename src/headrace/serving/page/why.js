// Shows which parts of an item speak for its answer, when one asks for it.

import { explain } from "./asking.js";

const LISTED = 3; // of the strongest parts for the answer, and of those against it
const LONGEST = 224; // pixels of a map
const [FOR, AGAINST] = ["196, 50, 40", "40, 100, 200"];
const FAINTEST = 0.02; // of the strongest part; what is less has no colour

export class Why {
  #asked = null; // what was answered last
  #asking = null;

  constructor(box) {
    this.box = box;
    this.button = box.querySelector("button");
    this.note = box.querySelector("p");
    this.shown = box.querySelector("div");
    this.button.addEventListener("click", () => this.#ask());
  }

  use(model) {
    this.box.hidden = !(model.explains || model.unexplained); // then it says why not
  }

  // `sent`: the model, the body and its type that an answer was given to.
  answered(sent) {
    this.clear();
    this.#asked = sent;
    this.button.disabled = false;
  }

  clear() {
    this.#asking?.abort();
    this.#asking = this.#asked = null;
    this.button.disabled = true;
    this.note.textContent = "";
    this.shown.replaceChildren();
  }

  async #ask() {
    const sent = this.#asked;
    const { signal } = (this.#asking = new AbortController());
    this.button.disabled = true;
    this.note.textContent = "Looks for the parts that decide …";
    try {
      const given = await explain(sent, signal);
      if (signal.aborted) return;
      this.#show(given, sent.model);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.note.textContent = error.message;
      this.button.disabled = false;
    }
  }

  #show(given, model) {
    if (given.sanity.status !== "passed") {
      this.note.textContent = `Not explained: ${given.sanity.reason}.`;
      return;
    }
    const most = Math.max(...given.parts.map((part) => Math.abs(part.value)), 1e-9);
    const colour = (value) => {
      const share = Math.abs(value ?? 0) / most;
      return share < FAINTEST ? "transparent" : `rgba(${value > 0 ? FOR : AGAINST}, ${(0.75 * share).toFixed(3)})`;
    };
    this.note.textContent = `Red parts speak for “${given.words}”, blue parts against it.`;
    const drawn = model.medium === "text" ? words(given.map[0], colour) : grid(given.map, colour, model);
    this.shown.replaceChildren(drawn, list(given.parts));
  }
}

// The words of a text, which are separated as they are read.
function words(row, colour) {
  const text = document.createElement("bdi");
  text.className = "words";
  for (const { name, value } of row) {
    const word = document.createElement("span");
    word.textContent = name;
    word.style.backgroundColor = colour(value);
    text.append(word, " ");
  }
  return text;
}

// The patches of an image over it; the parts of a sound with time to the right, low pitches below.
function grid(rows, colour, model) {
  const isSound = model.medium === "audio";
  const cells = isSound ? rows[0].map((_, band) => rows.map((row) => row[band])).reverse() : rows;
  const [tall, wide] = isSound ? [cells.length * 12, cells[0].length * 24] : model.shape;
  const scale = isSound ? 1 : Math.max(1, Math.floor(LONGEST / Math.max(tall, wide)));
  const canvas = Object.assign(document.createElement("canvas"), { width: wide * scale, height: tall * scale });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Map of the parts; the strongest are listed below");
  const pen = canvas.getContext("2d");
  const seen = document.querySelector("#saw img");
  if (seen && !isSound) {
    pen.imageSmoothingEnabled = false;
    pen.filter = "grayscale(1) opacity(.6)";
    pen.drawImage(seen, 0, 0, canvas.width, canvas.height);
    pen.filter = "none";
  }
  cells.forEach((row, y) => row.forEach(({ value }, x) => {
    const [left, right] = [x, x + 1].map((edge) => Math.round((edge * canvas.width) / row.length));
    const [top, bottom] = [y, y + 1].map((edge) => Math.round((edge * canvas.height) / cells.length));
    pen.fillStyle = colour(value);
    pen.fillRect(left, top, right - left, bottom - top);
  }));
  return canvas;
}

function list(parts) {
  const listed = document.createElement("dl");
  for (const [title, sign] of [["For it", 1], ["Against it", -1]]) {
    const own = parts.filter((part) => part.value * sign > 0).slice(0, LISTED);
    if (!own.length) continue;
    const [head, body] = [document.createElement("dt"), document.createElement("dd")];
    head.textContent = title;
    body.textContent = own.map(({ name, value }) => `${name} (${value > 0 ? "+" : ""}${value.toPrecision(2)})`).join("; ");
    listed.append(head, body);
  }
  return listed;
}
