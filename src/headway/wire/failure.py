"""Foreign errors become `ConnectionFailed` here and nowhere else. No message holds headers or bodies."""

from __future__ import annotations

import socket
import ssl

from headway.errors import ConnectionFailed


def not_connected(error: Exception, origin: str, patience_s: float) -> ConnectionFailed:
    """Say why no connection to `origin` could be made. Nothing was sent."""
    match error:
        case TimeoutError():
            text = f"Connecting to {origin} took longer than {patience_s:g} s."
            hint = "Check the network, or raise the connect timeout."
        case ssl.SSLCertVerificationError():
            text = f"The TLS certificate of {origin} was not accepted: {error.verify_message}."
            hint = "If a company proxy signs connections, set SSL_CERT_FILE to its CA certificate."
        case ssl.SSLError():
            text = f"The TLS handshake with {origin} failed: {error.reason or error}."
            hint = "Check that the port speaks TLS (https://) and which versions it accepts."
        case socket.gaierror() | UnicodeError():
            text = f"The host name of {origin} could not be resolved: {error}."
            hint = "Check the base URL and the DNS settings."
        case ConnectionRefusedError():
            text = f"{origin} refused the connection."
            hint = "Check that the server runs and that the port is right."
        case _:
            text = f"Connecting to {origin} failed: {error or type(error).__name__}."
            hint = "Check the network and the base URL."
    return ConnectionFailed(text, sent=False, hint=hint)


def broken(reason: str, origin: str, *, head_seen: bool, sent: bool) -> ConnectionFailed:
    """Say what ended an exchange after a connection was there: reset, end of file, malformed reply."""
    where = "in the middle of the reply" if head_seen else "before a reply came"
    hint = "The request may have been carried out." if sent else "The request was not sent."
    return ConnectionFailed(f"The connection to {origin} failed {where}: {reason}.", sent=sent, hint=hint)


def too_late(awaited: str, patience_s: float, origin: str, *, sent: bool) -> ConnectionFailed:
    """Say which wait ran out, and how long it was. Seconds."""
    text = f"Waited {patience_s:g} s for {awaited} of {origin}, in vain."
    return ConnectionFailed(text, sent=sent, hint="The request may have been carried out." if sent else "")


def too_large(limit: int) -> ConnectionFailed:
    """Say that a body was larger than the reader wanted to hold. Bytes."""
    return ConnectionFailed(f"The body of the reply is larger than {limit} bytes.", sent=True)


def closed(origin: str, *, sent: bool) -> ConnectionFailed:
    """Say that our own side gave up the connection while something was still wanted from it."""
    return ConnectionFailed(f"The connection to {origin} was closed from this side.", sent=sent)
