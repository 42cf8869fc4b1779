// Talks to the server: one question at a time, and the latest one wins.

const KEY = "headrace-token";
export const address = (name, route = "predict") => `/models/${encodeURIComponent(name)}/${route}`;
const TRIES = 5; // of a question that a busy server turned away

async function call(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    let reply;
    try {
      reply = await fetch(path, { ...options, headers, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer. See whether headrace serve is still running.");
    }
    if (reply.status !== 401) return reply;
    if (sessionStorage.getItem(KEY) === token) await askForToken(token !== null);
  }
}

let login = null; // one dialog for all that wait for it

function askForToken(refused) {
  login ??= new Promise((resolve, reject) => {
    const dialog = document.querySelector("#login");
    const field = dialog.querySelector("#token");
    dialog.querySelector("#refused").hidden = !refused;
    field.value = dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      login = null;
      if (dialog.returnValue === "use") sessionStorage.setItem(KEY, field.value);
      else reject(new Error("The server wants a token. Reload the page to give it one."));
      field.value = "";
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return login;
}

async function read(reply) {
  const content = await reply.json().catch(() => ({}));
  if (reply.ok) return content;
  const error = new Error(content.error || `The server answered with status ${reply.status}.`);
  if (reply.status === 503) error.wait = Number(reply.headers.get("Retry-After")) || 1;
  throw error;
}

// Sends a JSON object to a route of a model; a reply that is no success is an error.
export async function post(name, route, value, signal) {
  const body = JSON.stringify(value);
  const headers = { "Content-Type": "application/json" };
  const reply = await call(address(name, route), { method: "POST", body, headers, signal });
  if (!reply.ok) await read(reply);
  return reply;
}

// Which parts of an item speak for its answer.
export async function explain({ model, body, type }, signal) {
  const headers = { "Content-Type": type };
  return read(await call(address(model.name, "explain"), { method: "POST", body, headers, signal }));
}

export async function listModels() {
  return (await read(await call("/models"))).models;
}

export class Asking {
  #waiting = null;
  #busy = false;
  #round = 0; // answers to what was asked in an earlier one are dropped

  constructor(heard) {
    this.heard = heard;
  }

  ask(model, make) {
    this.#waiting = { model, make, round: this.#round, tries: 0 };
    if (!this.#busy) this.#work();
  }

  forget() {
    this.#waiting = null;
    this.#round += 1;
  }

  async #work() {
    this.#busy = true;
    while (this.#waiting) {
      const question = this.#waiting;
      this.#waiting = null;
      try {
        const sent = { model: question.model, ...(await question.make()) };
        const given = await this.#predict(sent);
        if (question.round === this.#round) this.heard.answered(given, sent);
      } catch (error) {
        if (question.round === this.#round) this.heard.failed(error.message);
        if (error.wait && ++question.tries < TRIES) {
          await new Promise((done) => setTimeout(done, 1000 * Math.min(error.wait, 10)));
          if (question.round === this.#round) this.#waiting ??= question;
        }
      }
    }
    this.#busy = false;
  }

  async #predict({ model, body, type }) {
    const started = performance.now();
    const reply = await call(`${address(model.name)}?show=input`, {
      method: "POST",
      body,
      headers: { "Content-Type": type },
    });
    const given = await read(reply);
    return { ...given, latency: performance.now() - started };
  }
}
