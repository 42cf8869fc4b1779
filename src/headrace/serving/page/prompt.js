// A prompt, which the model goes on with; the text is shown as it is written.

import { post } from "./asking.js";

export class PromptInput {
  hint = "The model goes on where the prompt ends. The same seed gives the same text.";
  #writing = null;

  constructor(box, page) {
    this.page = page;
    this.field = (name) => box.querySelector(`[name=${name}]`);
    this.button = box.querySelector("[data-do=write]");
    this.button.addEventListener("click", () => (this.#writing ? this.leave() : this.#write()));
  }

  use(model) {
    this.model = model;
    this.field("prompt").value = "";
  }

  leave() {
    this.#writing?.abort();
  }

  async take(file) {
    this.field("prompt").value = await file.text();
  }

  #wish() {
    const wish = { prompt: this.field("prompt").value, stream: true };
    for (const name of ["temperature", "lines", "seed"]) {
      const text = this.field(name).value;
      if (text !== "") wish[name] = Number(text);
    }
    return wish;
  }

  async #write() {
    const wish = this.#wish();
    const started = performance.now();
    let text = wish.prompt;
    let facts = {};
    this.#writing = new AbortController();
    this.button.textContent = "Stop";
    try {
      const reply = await post(this.model.name, "generate", wish, this.#writing.signal);
      for await (const [event, data] of events(reply.body)) {
        if (event === "error") throw new Error(data.error);
        if (event === "begin") facts = data;
        if (event !== "text") continue;
        facts.latency ??= performance.now() - started;
        text += data.text;
        this.page.wrote(text, { latency: performance.now() - started, ...facts });
      }
    } catch (error) {
      if (error.name !== "AbortError") this.page.fail(error.message);
    } finally {
      this.#writing = null;
      this.button.textContent = "Write";
    }
  }
}

// The server-sent events of a body, each as its name and its data.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const fields = part.split("\n").map((line) => line.match(/^(event|data): (.*)$/) ?? []);
      const of = (name) => fields.find((field) => field[1] === name)?.[2];
      if (of("data")) yield [of("event") ?? "message", JSON.parse(of("data"))];
    }
  }
}
