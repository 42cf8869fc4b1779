// The page: which model is asked, and what is handed from its input to the answer.

import { Asking, address, listModels } from "./asking.js";
import { Answer } from "./answer.js";
import { AudioInput } from "./audio.js";
import { ImageInput } from "./image.js";
import { MessageInput } from "./message.js";
import { PromptInput } from "./prompt.js";
import { TextInput } from "./text.js";
import { Why } from "./why.js";

const $ = (selector) => document.querySelector(selector);
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;
// What is sent, its type, and the route that takes it.
const EXAMPLES = {
  image: ["--data-binary @image.png", "image/png"],
  text: ["--data-binary 'a text'", "text/plain"],
  audio: ["--data-binary @sound.wav", "audio/wav"],
  prompt: [`--data '{"prompt": "", "temperature": 0.8}'`, "application/json", "generate"],
  message: [`--output said.wav --data '{"text": "..."}'`, "application/json", "say"],
  other: ["--data-binary @item", "application/octet-stream"],
};
const INPUTS = { image: ImageInput, text: TextInput, audio: AudioInput, prompt: PromptInput, message: MessageInput };

const answer = new Answer();
const why = new Why($("#why"));
const asking = new Asking({
  answered(given, sent) {
    answer.show(given);
    why.answered(sent);
    if (String(given.version) !== String(model.version)) refresh(); // another one is served by now
  },
  failed: (words) => page.stop(words),
});
const page = {
  // `make` resolves to the body and its type; it is called when its turn has come.
  send: (make) => asking.ask(model, make),
  wrote: (text, facts) => answer.wrote(text, facts),
  said: (text, sound, facts) => answer.said(text, sound, facts),
  note: (words) => ($("#note").textContent = words),
  stop(words) {
    answer.fail(words);
    why.clear();
  },
  fail(words) {
    asking.forget();
    page.stop(words);
  },
  clear() {
    asking.forget();
    answer.clear();
    why.clear();
    page.note(model.input?.hint ?? "");
  },
};
const inputs = {};
for (const [medium, Input] of Object.entries(INPUTS)) {
  inputs[medium] = new Input($(`[data-medium=${medium}]`), page);
}
let models = [];
let model = null;

function choose(name) {
  model?.input?.leave?.();
  model = models.find((each) => each.name === name) ?? models[0];
  const asked = model.asks ?? model.medium;
  const medium = asked in inputs ? asked : "other";
  for (const box of document.querySelectorAll("[data-medium]")) {
    box.hidden = box.dataset.medium !== medium;
  }
  $("#model").value = model.name;
  $("#summary").textContent = model.summary ?? "";
  const [data, type, route] = EXAMPLES[medium];
  $("#shell").textContent =
    `curl ${data} -H 'Content-Type: ${type}' \\\n  '${location.origin}${address(model.name, route)}'`;
  answer.use(model);
  why.use(model);
  model.input = inputs[medium];
  model.input?.use(model);
  page.clear();
}

async function refresh() {
  try {
    const listed = await listModels();
    const former = JSON.stringify([model?.shape, model?.classes, model?.name]);
    models = listed;
    const same = models.find((each) => each.name === model?.name);
    if (same && JSON.stringify([same.shape, same.classes, same.name]) === former) {
      model = Object.assign(same, { input: model.input });
      return;
    }
    $("#model").replaceChildren(...models.map((each) => new Option(each.name)));
    $("#model").disabled = models.length < 2;
    if (models.length) choose(decodeURIComponent(location.hash.slice(1)));
    else answer.fail("This server has no model to try yet.");
  } catch (error) {
    answer.fail(error.message);
  } finally {
    document.body.classList.remove("loading");
  }
}

function fileFrom(transfer) {
  const file = transfer?.files?.[0];
  if (file && model?.input?.take) model.input.take(file);
  return Boolean(file);
}

$("#model").addEventListener("change", (event) => {
  history.replaceState(null, "", `#${encodeURIComponent(event.target.value)}`);
  choose(event.target.value);
});
addEventListener("hashchange", () => models.length && choose(decodeURIComponent(location.hash.slice(1))));
addEventListener("paste", (event) => fileFrom(event.clipboardData) && event.preventDefault());
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") fileFrom(event.dataTransfer);
  });
}
const goes = `What you enter goes to the server at ${location.host} and nowhere else.`;
$("#where").textContent = LOOPBACK.test(location.hostname) ? `${goes} Nothing leaves this machine.` : goes;
refresh();
