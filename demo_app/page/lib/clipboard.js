// Copying a text that the page shows.

// Copy an element's text, or select it where the browser refuses; returns the words for either.
export async function copyFrom(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return "Copied";
  } catch {
    // Refused, or not a secure context: an address that is not loopback, without TLS.
    getSelection().selectAllChildren(element);
    return "Selected: press Ctrl+C or ⌘C to copy";
  }
}
