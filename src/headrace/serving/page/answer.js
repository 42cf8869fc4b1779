// Shows an answer: the label, the classes as bars, what the model saw, who answered.

const $ = (selector) => document.querySelector(selector);
const FEW = 12; // so many classes stay where they are; of more, the best are sorted
const BEST = 8;
const QUIET_MS = 800; // a screen reader hears the answer that stays

const VERBS = { text: "read", audio: "heard", prompt: "wrote", message: "said" };

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

export class Answer {
  #model = null;
  #timer = 0;

  use(model) {
    this.#model = model;
    const names = namesOf(model);
    const count = names.length > FEW ? BEST : names.length;
    const rows = Array.from({ length: count }, () => {
      const row = document.createElement("li");
      row.append(part("name"), part("track", part("bar")), part("share"));
      return row;
    });
    const isWide = names.length > FEW || names.some((name) => name.length > 16);
    $("#classes").style.setProperty("--names", isWide ? "40%" : "max-content");
    $("#classes").replaceChildren(...rows);
    $("#saw-title").textContent = `What the model ${VERBS[model.asks ?? model.medium] ?? "saw"}`;
    $(".below").classList.toggle("broad", model.medium !== "image");
  }

  clear() {
    this.#head("", "");
    document.querySelectorAll("#saw, [data-fact]").forEach((each) => each.replaceChildren());
    this.#setRows(new Map(namesOf(this.#model).map((name) => [name, 0])));
    this.#setStale(false);
  }

  show(given) {
    const label = String(given.label ?? given.tags?.join(", ") ?? given.transcript ?? given.value);
    let isSure = given.confidence !== undefined ? `confidence ${percent(given.confidence)}` : "";
    if (given.probability !== undefined) isSure = `probability ${percent(given.probability)}`;
    this.#head(label || "nothing", isSure);
    if (given.probabilities !== undefined) {
      const shares = namesOf(this.#model).map((name) => [name, given.probabilities[name] ?? 0]);
      this.#setRows(new Map(shares), given.tags ?? [given.label]);
    }
    this.#facts(given);
    $("#saw").replaceChildren(...safeParts(given.input ?? ""));
    this.#setStale(false);
  }

  wrote(text, given) {
    const shown = document.createElement("bdi");
    shown.className = "written";
    shown.textContent = text;
    this.#made(shown, `${[...text].length} characters`, given);
  }

  said(text, sound, given) {
    const player = document.createElement("audio");
    player.controls = player.autoplay = true;
    player.src = URL.createObjectURL(sound);
    this.#made(player, text, given);
  }

  #made(shown, label, given) {
    const former = $("#saw audio")?.src ?? "";
    if (former.startsWith("blob:")) URL.revokeObjectURL(former);
    this.#head(label, "");
    this.#facts(given);
    $("#saw").replaceChildren(shown);
    this.#setStale(false);
  }

  #facts(given) {
    const facts = {
      version: given.version,
      engine: given.engine ?? this.#model.engine ?? "",
      latency: `${given.latency < 10 ? given.latency.toFixed(1) : Math.round(given.latency)} ms`,
      request: given.request_id,
    };
    for (const [name, value] of Object.entries(facts)) {
      $(`[data-fact=${name}]`).textContent = value;
    }
  }

  fail(words) {
    this.#head(words, "", "bad");
    this.#setStale(true);
  }

  #head(label, sure, kind = "") {
    $("#verdict").className = kind;
    $("#label").textContent = $("#label").title = label;
    $("#sure").textContent = sure;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => ($("#spoken").textContent = `${label} ${sure}`), QUIET_MS);
  }

  #setRows(shares, answered) {
    const listed = [...shares];
    if (listed.length > FEW) listed.sort((one, other) => other[1] - one[1]);
    [...$("#classes").children].forEach((row, place) => {
      const [name, share] = listed[place] ?? ["", 0];
      const [nameBox, track, shareBox] = row.children;
      nameBox.textContent = nameBox.title = name;
      track.firstChild.style.transform = `scaleX(${share})`;
      shareBox.textContent = answered === undefined ? "" : percent(share);
      row.classList.toggle("top", answered?.includes(name) ?? false);
    });
  }

  #setStale(isStale) {
    for (const box of [$("#classes"), $(".below")]) box.classList.toggle("stale", isStale);
  }
}

function namesOf(model) {
  return model?.classes ?? model?.tags ?? [];
}

function part(name, ...inside) {
  const made = document.createElement("span");
  made.className = name;
  made.append(...inside);
  return made;
}

// HTML from the server is data: an image, a player, or text, and nothing else of it.
function safeParts(html) {
  const body = new DOMParser().parseFromString(html, "text/html").body;
  const media = body.querySelector("img, audio");
  if (!media) {
    const text = document.createElement("bdi");
    text.textContent = body.textContent;
    return [text];
  }
  const kind = media.localName;
  const source = media.getAttribute("src") ?? "";
  if (!source.startsWith(kind === "img" ? "data:image/" : "data:audio/")) return [];
  const made = document.createElement(kind);
  if (kind === "img") made.alt = media.getAttribute("alt") ?? "";
  else made.controls = true;
  made.src = source;
  return [made];
}
