/** The sessions that are known here, newest first: the polled beginning, and what was loaded behind it. */

const newestFirst = (a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : a.id < b.id ? 1 : -1);

export class SessionList {
  #known = new Map();
  #cursor = null; // behind the oldest that is known

  get all() {
    return [...this.#known.values()].sort(newestFirst);
  }

  get size() {
    return this.#known.size;
  }

  get cursor() {
    return this.#cursor;
  }

  clear() {
    this.#known.clear();
    this.#cursor = null;
  }

  /** The newest sessions as they are now. What stood among them before and is not there any more is gone. */
  refresh({ data, next_cursor }) {
    const last = next_cursor ? data.at(-1) : null;
    for (const session of this.#known.values())
      if (last === null || newestFirst(session, last) <= 0) this.#known.delete(session.id);
    if (this.#known.size === 0) this.#cursor = next_cursor;
    this.#add(data);
  }

  /** One more page, asked for with `cursor`. */
  append({ data, next_cursor }) {
    this.#add(data);
    this.#cursor = next_cursor;
  }

  #add(sessions) {
    for (const session of sessions) this.#known.set(session.id, session);
  }
}
