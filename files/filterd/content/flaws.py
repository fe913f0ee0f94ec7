# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the structure of a message, by name, and how grave it is.

AMBIGUOUS is what readers can understand differently, so that what one of them checked is not what another one shows
(CVE-2024-28054 is one of these). BAD_HEADER is what is broken and looks alike to all of them: the mail of careless
programs. UNCHECKED is where the limits end.
"""

from __future__ import annotations

from ..findings import AMBIGUOUS, BAD_HEADER, UNCHECKED

SOURCE = "content"

# Names of files, types and boundaries that readers take from different places
BOUNDARIES = "doubled boundary"
END_BOUNDARY = "boundary that is the end of another one"
TYPES = "doubled Content-Type"
ENCODINGS = "doubled Content-Transfer-Encoding"
IRREGULAR_TYPE = "irregular Content-Type"
MISSPELT_ENCODING = "misspelt Content-Transfer-Encoding"  # some decode it
SPACE_BEFORE_COLON = "space before the colon of a Content field"
NUL_IN_FIELD = "NUL in a Content field"
DOUBTFUL_FIELD = "Content field behind the end of a header"
NAMES = "conflicting file names"
DIRECTION = "direction override in a file name"
ENCODED_MULTIPART = "parts only inside an encoding"
PARTIAL = "message/partial"

# Broken, but hiding nothing
EXTENDED_BOUNDARY = "boundary in extended form"  # RFC 2231: who does not know it shows the source of all parts
SHARED_BOUNDARY = "boundary of several levels"  # whoever owns a delimiter, the parts between delimiters are the same
UNTERMINATED = "unterminated multipart"
NO_BOUNDARY = "multipart without boundary"
NO_PARTS = "multipart without parts"
SAME_TYPES = "repeated Content-Type"
SAME_ENCODINGS = "repeated Content-Transfer-Encoding"
DISPOSITIONS = "repeated Content-Disposition"
UNKNOWN_ENCODING = "unknown Content-Transfer-Encoding"
ENCODED_CONTAINER = "encoded multipart or message"
EXTERNAL_BODY = "message/external-body"
NO_SEPARATOR = "no empty line after the header"
LONG_HEADER = "header too long"
NUL_IN_HEADER = "NUL in header"
EIGHT_BIT = "8-bit header that is not UTF-8"

# Beyond a limit
PARTS = "too many parts"
DEPTH = "parts too deep"
ENCODED_DEPTH = "encoded messages too deep"
FIELDS = "Content fields over the limits"

_AMBIGUOUS = {
    *(BOUNDARIES, END_BOUNDARY, TYPES, ENCODINGS, IRREGULAR_TYPE, MISSPELT_ENCODING),
    *(SPACE_BEFORE_COLON, NUL_IN_FIELD, DOUBTFUL_FIELD, NAMES, DIRECTION, ENCODED_MULTIPART, PARTIAL),
}
_UNCHECKED = {PARTS, DEPTH, ENCODED_DEPTH, FIELDS}


def category(flaw: str) -> str:
    """The category of a finding for this flaw."""
    if flaw in _AMBIGUOUS:
        return AMBIGUOUS
    return UNCHECKED if flaw in _UNCHECKED else BAD_HEADER
