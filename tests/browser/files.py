"""Files, and functions that bring them into a page."""

import base64
from typing import Final

from playwright.async_api import Locator

__all__ = ["PDF", "PNG", "drop", "paste"]

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF: Final = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"

_TRANSFER: Final = """files => {
    const transfer = new DataTransfer()
    for (const [name, type, data] of files) {
        const bytes = Uint8Array.from(atob(data), byte => byte.charCodeAt(0))
        transfer.items.add(new File([bytes], name, { type }))
    }
    return transfer
}"""


async def drop(target: Locator, *files: tuple[str, str, bytes]) -> None:
    """Drop files on an element, each by its name, its type and its bytes."""
    transfer = await target.page.evaluate_handle(_TRANSFER, _encode(files))
    for event in ("dragenter", "dragover", "drop"):
        await target.dispatch_event(event, {"dataTransfer": transfer})


async def paste(target: Locator, *files: tuple[str, str, bytes]) -> None:
    """Paste files into an element."""
    transfer = await target.page.evaluate_handle(_TRANSFER, _encode(files))
    await target.evaluate(
        """(it, clipboardData) => it.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))""",
        transfer,
    )


def _encode(files: tuple[tuple[str, str, bytes], ...]) -> list[list[str]]:
    return [[name, kind, base64.b64encode(data).decode()] for name, kind, data in files]
