// Text is sent as one types.

const PAUSE_MS = 120;

export class TextInput {
  hint = "The answer follows as you type. A text file can be dropped.";

  constructor(box, page) {
    this.field = box.querySelector("textarea");
    this.page = page;
    let timer = 0;
    this.field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#send(), PAUSE_MS);
    });
  }

  use() {
    this.field.value = "";
  }

  async take(file) {
    const bytes = await file.arrayBuffer();
    try {
      this.field.value = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      // The server reads more encodings, and has words for what it cannot read.
      this.field.value = "";
      this.page.note(`${file.name} is not UTF-8, so it is sent as it is.`);
      this.page.send(async () => ({ body: bytes, type: "text/plain" }));
      return;
    }
    this.#send();
  }

  #send() {
    const text = this.field.value;
    if (!text.trim()) return this.page.clear();
    this.page.send(async () => ({ body: text, type: "text/plain; charset=utf-8" }));
  }
}
