"""What a file is, by the end of its name.

A table of our own: the one of the machine differs from host to host. Types are those of the IANA
registry, but for a few that everybody uses and nobody has registered.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_UNKNOWN: Final = "application/octet-stream"

_TABLE: Final = """
application/atom+xml                    atom
application/epub+zip                    epub
application/geo+json                    geojson
application/gzip                        gz tgz
application/java-archive                jar
application/json                        json map
application/ld+json                     jsonld
application/manifest+json               webmanifest
application/msword                      doc
application/octet-stream                bin br dll exe img iso deb rpm
application/ogg                         ogx
application/pdf                         pdf
application/postscript                  ps eps ai
application/rss+xml                     rss
application/rtf                         rtf
application/sql                         sql
application/toml                        toml
application/vnd.android.package-archive apk
application/vnd.apple.mpegurl           m3u8
application/vnd.ms-excel                xls
application/vnd.ms-fontobject           eot
application/vnd.ms-powerpoint           ppt
application/vnd.oasis.opendocument.presentation                             odp
application/vnd.oasis.opendocument.spreadsheet                              ods
application/vnd.oasis.opendocument.text                                     odt
application/vnd.openxmlformats-officedocument.presentationml.presentation   pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet           xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document     docx
application/vnd.rar                     rar
application/wasm                        wasm
application/x-7z-compressed             7z
application/x-bzip2                     bz2
application/x-sh                        sh
application/x-tar                       tar
application/x-x509-ca-cert              crt der pem cer
application/x-xz                        xz
application/xhtml+xml                   xhtml xht
application/xml                         xml xsl xsd
application/yaml                        yaml yml
application/zip                         zip
application/zstd                        zst
audio/aac                               aac
audio/flac                              flac
audio/midi                              mid midi
audio/mp4                               m4a
audio/mpeg                              mp3
audio/ogg                               oga ogg opus
audio/wav                               wav
audio/webm                              weba
font/collection                         ttc
font/otf                                otf
font/ttf                                ttf
font/woff                               woff
font/woff2                              woff2
image/apng                              apng
image/avif                              avif
image/bmp                               bmp
image/gif                               gif
image/heic                              heic
image/jpeg                              jpg jpeg jpe
image/jxl                               jxl
image/png                               png
image/svg+xml                           svg
image/tiff                              tif tiff
image/vnd.microsoft.icon                ico cur
image/webp                              webp
model/gltf+json                         gltf
model/gltf-binary                       glb
model/stl                               stl
text/calendar                           ics
text/css                                css
text/csv                                csv
text/html                               html htm
text/javascript                         js mjs
text/markdown                           md markdown
text/plain                              txt text log conf ini py c h
text/tab-separated-values               tsv
text/vcard                              vcf
text/vtt                                vtt
video/mp2t                              ts
video/mp4                               mp4 m4v
video/mpeg                              mpeg mpg
video/ogg                               ogv
video/quicktime                         mov
video/webm                              webm
video/x-matroska                        mkv
video/x-msvideo                         avi
"""

# Compressed as they are: nobody makes them smaller, so nobody keeps a compressed file beside them.
_COMPRESSED: Final = ("audio/", "video/", "image/", "font/woff")
_ARCHIVES: Final = [
    "application/epub+zip",
    "application/gzip",
    "application/java-archive",
    "application/vnd.android.package-archive",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-xz",
    "application/zip",
    "application/zstd",
]
_COMPRESSIBLE: Final = frozenset(
    ("image/bmp", "image/svg+xml", "image/tiff", "image/vnd.microsoft.icon", "audio/wav")
)


class MediaType(NamedTuple):
    """What is said of a file.

    Attributes:
        field: value of Content-Type.
        compressible: a compressed form of it may stand beside it.
    """

    field: bytes
    compressible: bool


def _told(name: str) -> MediaType:
    packed = name.startswith(_COMPRESSED) and name not in _COMPRESSIBLE
    # A type other than text/* says in its own content, or in its definition, what its charset is.
    charset = "; charset=utf-8" if name.startswith("text/") else ""
    return MediaType((name + charset).encode(), not packed and name not in _ARCHIVES)


_BY_SUFFIX: Final = {
    suffix.encode(): _told(name)
    for name, *suffixes in map(str.split, _TABLE.strip().splitlines())
    for suffix in suffixes
}
_OTHER: Final = _told(_UNKNOWN)


def media_type(name: bytes) -> MediaType:
    """Of a file with that name; application/octet-stream when its end says nothing."""
    _, dot, suffix = name.rpartition(b".")
    return _BY_SUFFIX.get(suffix.lower(), _OTHER) if dot else _OTHER
