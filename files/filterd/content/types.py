# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file is: by its first bytes, and by the end of its name."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

#: Bytes from the beginning of a file that `real_type` looks at.
HEAD = 1024


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Extensions of files that an operating system or an interpreter runs when they are opened, more than are banned.
EXECUTABLE = _words(
    "ade adp app application appref-ms bat chm cmd com cpl csh dll dmg elf exe fxp gadget hlp hta inf ins"
    " isp jar js jse ksh lnk mde msc msi msp mst ocx ops pcd pif prf prg ps1 ps2 psc1 reg run scf scr sct shb shs sys"
    " url vb vbe vbs vxd ws wsc wsf wsh xll xnk"
)
_GROUPS = {
    "archive": "7z ace arc arj br bz2 cab cpio deb dmg gz img iso jar lha lz lzh lzma rar rpm tar tbz tgz txz udf xz"
    " z zip zst",
    "document": "csv doc docm docx dot dotm dotx eps key mdb numbers odg odp ods odt pages pdf potx pps ppsx ppt pptm"
    " pptx ps pub rtf vsd vsdx xls xlsb xlsm xlsx xlt xltm xps",
    "image": "bmp gif heic heif ico jpe jpeg jpg png svgz tif tiff webp",
    "media": "3gp aac avi flac m4a m4v mid mkv mov mp3 mp4 mpeg mpg ogg opus wav webm wma wmv",
    "web page": "htm html mht mhtml shtml svg xht xhtml",
    "text": "asc conf ini json log md txt xml yaml yml",
    "mail": "eml msg",
    "calendar": "ics ifb vcf vcs",
    "signature": "asc p7b p7c p7m p7s pgp sig",
}
#: What a known extension stands for.
GROUPS: dict[str, str] = {
    **{extension: group for group, text in _GROUPS.items() for extension in _words(text)},
    **dict.fromkeys(EXECUTABLE, "program"),
    # The same files under several names: signatures are text, and text is often called something else.
    **dict.fromkeys(_words("asc ini log md conf json xml yaml yml csv"), "text"),
}


class Kind(NamedTuple):
    """What the first bytes of a file say."""

    name: str  #: short, for findings and for choosing an unpacker
    mime: str  #: the MIME type that `banned_types` knows it by
    archive: bool = False  #: holds files
    binary: bool = True  #: cannot be text


PE = Kind("exe", "application/x-msdownload")
DOS = Kind("exe", "application/x-msdos-program")
ELF = Kind("elf", "application/x-executable")
MACHO = Kind("mach-o", "application/x-mach-binary")
OLE = Kind("ole", "application/x-ole-storage")
LNK = Kind("lnk", "application/x-ms-shortcut")
HTA = Kind("hta", "application/hta", binary=False)
SCRIPT = Kind("script", "text/x-shellscript", binary=False)
CHM = Kind("chm", "application/vnd.ms-htmlhelp")
PDF = Kind("pdf", "application/pdf")
ZIP = Kind("zip", "application/zip", True)
GZIP = Kind("gz", "application/gzip", True)
BZIP2 = Kind("bz2", "application/x-bzip2", True)
XZ = Kind("xz", "application/x-xz", True)
LZMA = Kind("lzma", "application/x-lzma", True)
TAR = Kind("tar", "application/x-tar", True)
SEVEN_ZIP = Kind("7z", "application/x-7z-compressed", True)
RAR = Kind("rar", "application/vnd.rar", True)
CAB = Kind("cab", "application/vnd.ms-cab-compressed", True)
ISO = Kind("iso", "application/x-iso9660-image", True)
ARJ = Kind("arj", "application/x-arj", True)
CPIO = Kind("cpio", "application/x-cpio", True)
AR = Kind("ar", "application/x-archive", True)
LHA = Kind("lha", "application/x-lzh-compressed", True)

#: Kinds that are recognised by the name alone, because their mark stands deep inside (ISO 9660: at 32769 bytes).
BY_EXTENSION = {"iso": ISO, "img": ISO, "udf": ISO}

_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08", ZIP),
    (b"PK00PK\x03\x04", ZIP),
    (b"%PDF-", PDF),
    (b"\x7fELF", ELF),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"\x1f\x8b\x08", GZIP),
    (b"\xfd7zXZ\x00", XZ),
    (b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (b"Rar!\x1a\x07", RAR),
    (b"MSCF\0\0\0\0", CAB),
    (b"ISc(", CAB),
    (b"070701", CPIO),
    (b"070702", CPIO),
    (b"070707", CPIO),
    (b"\xc7\x71", CPIO),
    (b"\x71\xc7", CPIO),
    (b"!<arch>\n", AR),
    (b"ITSF", CHM),
    (b"L\0\0\0\x01\x14\x02\0", LNK),
    (b"\xfe\xed\xfa\xce", MACHO),
    (b"\xfe\xed\xfa\xcf", MACHO),
    (b"\xce\xfa\xed\xfe", MACHO),
    (b"\xcf\xfa\xed\xfe", MACHO),
    (b"\x89PNG\r\n\x1a\n", Kind("png", "image/png")),
    (b"\xff\xd8\xff", Kind("jpeg", "image/jpeg")),
    (b"GIF87a", Kind("gif", "image/gif")),
    (b"GIF89a", Kind("gif", "image/gif")),
    (b"II*\0", Kind("tiff", "image/tiff")),
    (b"MM\0*", Kind("tiff", "image/tiff")),
    (b"#!", SCRIPT),
)
_FIRST_BYTES = frozenset(beginning[0] for beginning, _ in _BEGINNINGS)
_LHA = re.compile(rb"(?s)..-l[hz][0-9ds]-")


def real_type(head: bytes) -> Optional[Kind]:
    """What a file is that begins with `head` (HEAD bytes, or all it has); None when nothing is known about it."""
    if not head:
        return None
    if head[0] in _FIRST_BYTES:
        for beginning, kind in _BEGINNINGS:
            if head.startswith(beginning):
                return kind
    return _less_plain(head)


def _less_plain(head: bytes) -> Optional[Kind]:
    if head.startswith((b"MZ", b"ZM")):
        return _dos(head)
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90") and head[3:4].isdigit():
        return BZIP2
    if head.startswith(b"\x60\xea") and len(head) > 12 and 30 <= int.from_bytes(head[2:4], "little") <= 2600:
        return ARJ
    # RFC 1950's sibling without a mark: properties, a dictionary of a usual size, a size below 256 GiB or none.
    if head.startswith(b"\x5d\0\0") and len(head) > 13 and (head[5:13] == b"\xff" * 8 or not any(head[10:13])):
        return LZMA
    return _unmarked(head)


def _unmarked(head: bytes) -> Optional[Kind]:
    if len(head) >= 512 and _tar_checksum(head[:512]):
        return TAR
    if _LHA.match(head):
        return LHA
    return HTA if b"<hta:application" in head.lower() else None


def _dos(head: bytes) -> Optional[Kind]:
    if b"\0" not in head[:64] and len(head) >= 64:
        return None  # a text that begins with these letters
    offset = int.from_bytes(head[60:64], "little")
    return PE if head[offset : offset + 2] in (b"PE", b"NE", b"LE", b"LX") else DOS


def _tar_checksum(block: bytes) -> bool:
    """Whether a block is the header of a file in a tar archive (POSIX.1 pax, ustar; also without its mark)."""
    try:
        stated = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    total = sum(block) - sum(block[148:156]) + 8 * 32
    return stated == total and block[0] != 0
