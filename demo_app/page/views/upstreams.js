// Which providers are asked for real, and which are emulated, in the banner.

import { byId, el, setText } from "../lib/dom.js";
import { providerName } from "./providers.js";

export function showUpstreams(upstreams) {
  const providers = Object.entries(upstreams);
  byId("upstreams").replaceChildren(
    ...providers.map(([provider, kind]) =>
      el(
        "li",
        { class: kind === "live" ? "live" : "emulated" },
        `${providerName(provider)}: ${kind}`,
      ),
    ),
  );
  const invented = providers.some(([, kind]) => kind !== "live");
  setText(
    byId("upstreams-note"),
    invented
      ? "Counts from emulated upstreams are invented: they show how it works, not what a request costs."
      : "Every count comes from the provider itself.",
  );
}
