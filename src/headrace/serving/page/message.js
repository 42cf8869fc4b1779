// A message, which the model says.

import { post } from "./asking.js";

export class MessageInput {
  hint = "Separate the texts with spaces. A different seed gives a different take.";

  #asking = null; // the latest one; its answer alone is shown

  constructor(box, page) {
    this.page = page;
    this.field = (name) => box.querySelector(`[name=${name}]`);
    box.querySelector("[data-do=say]").addEventListener("click", () => this.#say());
    this.field("message").addEventListener("keydown", (event) => event.key === "Enter" && this.#say());
  }

  use(model) {
    this.model = model;
    this.field("message").value = "";
    const speakers = model.speakers ?? [];
    this.field("speaker").replaceChildren(...speakers.map((name) => new Option(name)));
    this.field("speaker").parentElement.hidden = speakers.length < 2;
  }

  leave() {
    this.#asking?.abort();
  }

  async #say() {
    const text = this.field("message").value.trim();
    if (!text) return this.page.clear();
    const wish = { text, seed: Number(this.field("take").value) };
    if (this.field("speaker").value) wish.speaker = this.field("speaker").value;
    const started = performance.now();
    this.leave();
    const { signal } = (this.#asking = new AbortController());
    try {
      const reply = await post(this.model.name, "say?show=input", wish, signal);
      const version = reply.headers.get("X-Model-Version");
      const request_id = reply.headers.get("X-Request-Id");
      const latency = performance.now() - started;
      this.page.said(text, await reply.blob(), { version, request_id, latency });
    } catch (error) {
      if (error.name !== "AbortError") this.page.fail(error.message);
    }
  }
}
