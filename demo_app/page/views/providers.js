// The providers' names, and whether one is asked for real.

import { el } from "../lib/dom.js";

const PROVIDERS = {
  anthropic: "Anthropic",
  bedrock: "Bedrock",
  gemini: "Gemini",
  vertex_ai: "Vertex AI",
  openai: "OpenAI",
  azure_ai: "Azure AI",
};
export const providerName = (provider) => (provider ? (PROVIDERS[provider] ?? provider) : "–");

// A badge that says whether a provider is asked for real, or nothing where nobody was asked.
export function upstreamBadge(upstream) {
  if (upstream !== "live" && upstream !== "emulated") return "";
  return el("span", { class: `badge ${upstream}` }, upstream);
}
