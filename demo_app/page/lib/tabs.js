// Tabs by the WAI-ARIA pattern: one of them in the tab order, the others by arrow keys.

const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };

// Make tabs of a tablist's buttons; `chosen(tab)` is called for each choice, the first one too.
export function makeTabs(tablist, chosen) {
  const tabs = [...tablist.querySelectorAll('[role="tab"]')];

  function choose(tab) {
    for (const each of tabs) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
    }
    chosen(tab);
  }

  function moved(event) {
    const at = tabs.indexOf(event.target);
    const ends = { Home: 0, End: tabs.length - 1 };
    const to = ends[event.key] ?? (at + STEPS[event.key] + tabs.length) % tabs.length;
    if (Number.isNaN(to)) return;
    event.preventDefault();
    tabs[to].focus();
    choose(tabs[to]);
  }

  for (const tab of tabs) tab.addEventListener("click", () => choose(tab));
  tablist.addEventListener("keydown", moved);
  choose(tabs[0]);
}
