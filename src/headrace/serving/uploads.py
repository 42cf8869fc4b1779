"""The file of a form, as ``curl -F file=@photo.jpg`` sends it."""

from __future__ import annotations

from email.message import Message

from headrace.serving.replies import HttpError

FORM = "multipart/form-data"


def file_of(media_type: str, body: bytes) -> bytes:
    """The content of the one part of a form (RFC 7578).

    Args:
        media_type: the header ``Content-Type``, which names the boundary.
        body: of the request.

    Raises:
        HttpError: 400 for a form without an end, or with more than one part.
    """
    header = Message()
    header["Content-Type"] = media_type
    try:  # it may be in any encoding (RFC 2231)
        boundary = (header.get_boundary() or "").encode("latin-1")
    except ValueError:
        boundary = b""
    between = b"\r\n--" + boundary
    _, *parts = (b"\r\n" + body).split(between, 2)
    _, blank, content = parts[0].partition(b"\r\n\r\n") if parts else (b"",) * 3
    if not boundary or len(parts) != 2 or not blank:
        raise HttpError(
            400, "The body is not a form with the boundary of its Content-Type."
        )
    if not parts[1].startswith(b"--"):
        raise HttpError(
            400, "The form has more than one part. Send one item: -F file=@FILE."
        )
    return content
