// What tools give back in the made-up session: source code, search results, test output.

const NOUNS = ["invoice", "ledger", "account", "currency", "rate", "entry", "report", "balance"];
const VERBS = ["convert", "collect", "settle", "round", "match", "load", "check", "group"];
const FOLDERS = ["billing", "reports", "ledger", "imports", "exchange"];

const LINES = [
  (random) =>
    `def ${random.pick(VERBS)}_${random.pick(NOUNS)}(${random.pick(NOUNS)}, *, strict=True):`,
  (random) =>
    `    """${random.pick(VERBS)} each ${random.pick(NOUNS)} of the ${random.pick(NOUNS)}."""`,
  (random) =>
    `    value = ${random.pick(NOUNS)}.total * Decimal("${random.below(9)}.${random.below(90) + 10}")`,
  (random) => `    for ${random.pick(NOUNS)} in self.${random.pick(NOUNS)}s.values():`,
  (random) => `        if value is None or value < ${random.below(1000)}:`,
  (random) =>
    `            raise ${random.pick(["ValueError", "LookupError"])}(f"no ${random.pick(NOUNS)}")`,
  (random) => `        totals[${random.pick(NOUNS)}.id] += ${random.pick(VERBS)}(value, places=2)`,
  (random) => `    return self._${random.pick(VERBS)}(value, at=${random.pick(NOUNS)}.date)`,
  () => "",
];

const source = (random) => random.pick(LINES)(random);
const many = (count, make) => Array.from({ length: count }, (_, index) => make(index));

// Lines of a file, numbered as the tool Read numbers them.
export function listing(random, count) {
  return many(count, (index) => `${String(index + 1).padStart(6)}→${source(random)}`).join("\n");
}

export function paths(random, count) {
  return many(count, () => {
    const file = `${random.pick(NOUNS)}_${random.pick(VERBS)}.py`;
    return `/home/dev/ledger/src/${random.pick(FOLDERS)}/${file}`;
  });
}

export function matches(random, count) {
  const [first] = paths(random, 1);
  return many(count, () => `${first}:${random.below(400) + 1}:${source(random)}`).join("\n");
}

export function logLines(random, count) {
  const tests = many(count, (index) => {
    const name = `test_${random.pick(VERBS)}_${random.pick(NOUNS)}_${random.pick(NOUNS)}`;
    const outcome = random.below(12) ? "PASSED" : "FAILED";
    return `tests/test_${random.pick(FOLDERS)}.py::${name} ${outcome} [${Math.round((100 * (index + 1)) / count)}%]`;
  });
  return [...tests, `${count} tests in ${random.below(9)}.${random.below(90) + 10}s`].join("\n");
}
