"""A service account unknown to Google, for a stub that answers any assertion with a token."""

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["service_account"]


@cache
def service_account(token_uri: str) -> dict[str, str]:
    """Return the content of a key file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "bench",
        "client_email": "bench@bench.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "private_key_id": "bench",
        "token_uri": token_uri,
    }
