// Which models are counted: those that the gateway names, and others that somebody adds.

const listeners = new Set();
const known = new Map(); // by id: {id, provider, upstream, countable, chosen}

export const models = {
  get all() {
    return [...known.values()];
  },

  // The ids of those that are chosen, in the order in which they are shown.
  get chosen() {
    return this.all.filter((model) => model.chosen).map((model) => model.id);
  },

  // What a call is shown for: the first chosen one, or else the first that can be counted.
  get first() {
    return this.chosen[0] ?? this.all.find((model) => model.countable)?.id ?? "claude-sonnet-5";
  },

  start({ models: configured, upstreams }) {
    for (const model of configured) {
      known.set(model.id, { ...model, upstream: upstreams[model.provider], chosen: false });
    }
    for (const id of firstOf("claude", 3).concat(firstOf("gemini", 2))) known.get(id).chosen = true;
    tell();
  },

  // Choose a model or not; one that the gateway did not name is added.
  choose(id, chosen = true) {
    if (!known.has(id)) known.set(id, { id, provider: null, countable: true });
    known.get(id).chosen = chosen;
    tell();
  },

  listen(listener) {
    listeners.add(listener);
  },
};

// Ids of a family's models: the first one of each provider comes before a second one of any.
function firstOf(family, most) {
  const all = models.all.filter(({ id, countable }) => countable && id.includes(family));
  const isSecond = ({ provider }, index) => all.slice(0, index).some((m) => m.provider === provider);
  const order = [...all.filter((...m) => !isSecond(...m)), ...all.filter(isSecond)];
  return order.slice(0, most).map(({ id }) => id);
}

function tell() {
  for (const listener of listeners) listener();
}
