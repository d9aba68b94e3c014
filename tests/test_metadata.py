"""What is noted about pictures: read from files and sidecars, merged without losing what was there."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from simsearch.dedup.metadata.facts import Metadata, coordinate_of, date_of, degrees_of
from simsearch.dedup.metadata.merge import merged_sidecar
from simsearch.dedup.metadata.read import read, richness
from simsearch.errors import PhotoUnreadable

XMLNS = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
}
DECLARED = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in XMLNS.items())
BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{("&a" + str(n - 1 if n > 1 else "") + ";") * 10}">' for n in range(1, 12))
    + "]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&a11;</x:xmpmeta>"
)
FETCH = '<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd"><x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def packet(inner: str = "", attributes: str = "", outer: str = "") -> bytes:
    """A small XMP document as programs write it."""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {DECLARED}>'
        f'<rdf:Description rdf:about="" {attributes}>{inner}</rdf:Description>{outer}</rdf:RDF></x:xmpmeta>'
    ).encode()


def bag(name: str, *words: str, kind: str = "Bag") -> str:
    return (
        f"<{name}><rdf:{kind}>" + "".join(f"<rdf:li>{w}</rdf:li>" for w in words) + f"</rdf:{kind}></{name}>"
    )


def alt(name: str, text: str) -> str:
    other = '<rdf:li xml:lang="de">Strand</rdf:li>'
    return f'<{name}><rdf:Alt>{other}<rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{name}>'


@pytest.fixture
def jpeg(tmp_path: Path) -> Callable[..., str]:
    """Makes a JPEG with EXIF and XMP, and a sidecar beside it."""

    def make(name: str, *, exif: Image.Exif | None = None, xmp: bytes = b"", sidecar: bytes = b"") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(1).save(path, "JPEG", exif=exif or Image.Exif(), xmp=xmp)
        if sidecar:
            path.with_suffix(".xmp").write_bytes(sidecar)
        return str(path)

    return make


def camera_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "EOS 5D"
    exif[0x4746] = 3
    exif[0x9C9E] = "Oma;Garten".encode("utf-16-le")
    exif.get_ifd(0x8769)[36867] = "2020:05:01 10:00:00"
    rational = TiffImagePlugin.IFDRational
    exif.get_ifd(0x8825).update(
        {
            1: "N",
            2: (rational(52), rational(30), rational(30)),
            3: "W",
            4: (rational(13), rational(24), rational(0)),
        }
    )
    return exif


# Reading


def test_exif_is_read(jpeg: Callable[..., str]) -> None:
    path = jpeg("a.jpg", exif=camera_exif())
    found = read(path)
    assert found.rating == 3
    assert found.tags == ("Oma", "Garten")
    assert found.taken_at == "2020-05-01T10:00:00"
    assert found.gps == pytest.approx((52 + 30 / 60 + 30 / 3600, -13.4))
    # Date, camera, place, rating and tags.
    assert richness(path) == 5


def test_xmp_is_read_embedded_and_beside(jpeg: Callable[..., str]) -> None:
    inner = (
        bag("dc:subject", "Berlin", "Oma")
        + alt("dc:description", "Am &lt;See&gt;")
        + alt("dc:title", "Sommer")
        + bag("lr:hierarchicalSubject", "places|Berlin")
        + "<mwg-rs:Regions><rdf:Description/></mwg-rs:Regions>"
    )
    attributes = (
        'xmp:Rating="4.0" exif:GPSLatitude="52,30.5N" exif:GPSLongitude="13,24,30E" tiff:Model="X" '
        'photoshop:DateCreated="2020-05-01T10:00:00.25+02:00"'
    )
    expected = Metadata(
        rating=4,
        tags=("Berlin", "Oma"),
        caption="Am <See>",
        title="Sommer",
        gps=(52 + 30.5 / 60, 13 + 24 / 60 + 30 / 3600),
        taken_at="2020-05-01T10:00:00",
        hierarchy=("places|Berlin",),
        camera=True,
        regions=True,
    )
    data = packet(inner, attributes)
    assert read(jpeg("a.jpg", xmp=data)) == expected
    assert read(jpeg("b.jpg", sidecar=data)) == expected
    assert richness(jpeg("c.jpg", sidecar=data)) == 8


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_every_format_that_carries_notes(form: str, tmp_path: Path) -> None:
    from simsearch.media.codecs import heif

    heif.register()
    data = packet(bag("dc:subject", "Oma"))
    path = tmp_path / "picture"
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    if form == "TIFF":
        picture(1).save(path, form, tiffinfo={700: data, 0x010F: "Canon"})
    elif form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", data.decode())
        picture(1).save(path, form, pnginfo=text, exif=exif)
    else:
        picture(1).save(path, form, xmp=data, exif=exif)
    found = read(str(path))
    assert (found.tags, found.camera) == (("Oma",), True)


def test_what_lies_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(1).save(path)
    data = path.read_bytes()
    text = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + packet(bag("dc:subject", "Oma"))
    late = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    path.write_bytes(data[:-12] + late + data[-12:])
    assert read(str(path)).tags == ("Oma",)
    path.write_bytes(data[:33] + b"\0\0\0\0teSt\0\0\0\0" * 2_000_000)
    began = time.process_time()
    assert read(str(path)) == Metadata()
    assert time.process_time() - began < 2


def test_the_sidecar_goes_before_the_picture(jpeg: Callable[..., str], tmp_path: Path) -> None:
    path = jpeg("a.jpg", exif=camera_exif(), sidecar=packet(bag("dc:subject", "See"), 'xmp:Rating="5"'))
    assert (read(path).rating, read(path).tags) == (5, ("See", "Oma", "Garten"))
    (tmp_path / "a.jpg.xmp").write_bytes(packet("", 'xmp:Rating="1"'))
    assert read(path).rating == 1


def test_iptc_is_read(tmp_path: Path) -> None:
    def field(number: int, text: str) -> bytes:
        return b"\x1c\x02" + bytes([number]) + len(text.encode()).to_bytes(2, "big") + text.encode()

    noted = field(5, "Titel") + field(25, "Öl") + field(25, "See") + field(55, "20200501") + field(120, "Wir")
    block = b"8BIM\x04\x04\0\0" + len(noted).to_bytes(4, "big") + noted + b"\0" * (len(noted) % 2)
    plain = tmp_path / "plain.jpg"
    picture(1).save(plain, "JPEG")
    app13 = b"Photoshop 3.0\0" + block
    data = plain.read_bytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xed" + (len(app13) + 2).to_bytes(2, "big") + app13 + data[2:])
    assert read(str(path)) == Metadata(
        tags=("Öl", "See"), caption="Wir", title="Titel", taken_at="2020-05-01"
    )


def test_what_cameras_write_by_themselves_is_no_caption(jpeg: Callable[..., str]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "OLYMPUS DIGITAL CAMERA         "
    assert read(jpeg("a.jpg", exif=exif)).caption is None
    exif[0x010E] = "Wir am See"
    assert read(jpeg("b.jpg", exif=exif)).caption == "Wir am See"


@pytest.mark.parametrize(
    "data",
    [
        BOMB.encode(),
        FETCH.encode(),
        b"<x",
        b"\0" * 1000,
        b"<a/>",
        b"<a>" * 100_000,
        b"<a>" + b"<b/>" * 900_000 + b"</a>",
        packet("<undeclared:x/>"),
        packet("x" * (5 << 20)),
        packet(alt("dc:title", "&undefined;")),
        b"<a " + b" ".join(b"a%d=''" % n for n in range(200_000)) + b"/>",
        b'<?xml version="1.0" encoding="nonesuch"?><a/>',
    ],
    ids=[
        "bomb",
        "dtd",
        "cut",
        "zeros",
        "xml",
        "deep",
        "many",
        "prefix",
        "large",
        "entity",
        "attributes",
        "code",
    ],
)
def test_hostile_xmp_says_nothing_and_soon(data: bytes, jpeg: Callable[..., str]) -> None:
    path = jpeg("a.jpg", sidecar=data)
    began = time.process_time()
    assert read(path) == Metadata()
    assert time.process_time() - began < 2


def test_hostile_numbers_are_no_facts(jpeg: Callable[..., str]) -> None:
    attributes = (
        f'xmp:Rating="{"9" * 5000}" exif:GPSLatitude="{"9" * 5000},1.0N" exif:GPSLongitude="13,99999.0E" '
        'photoshop:DateCreated="0000-00-00"'
    )
    assert read(jpeg("a.jpg", sidecar=packet("", attributes))) == Metadata()
    exif = Image.Exif()
    nowhere = TiffImagePlugin.IFDRational(0, 0)
    exif.get_ifd(0x8825).update({1: "N", 2: (nowhere,) * 3, 3: "E", 4: (nowhere,) * 3})
    exif.get_ifd(0x8769)[36867] = "0000:00:00 00:00:00"
    assert read(jpeg("b.jpg", exif=exif)) == Metadata()


def test_what_is_no_picture_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    names = ["text.jpg", "empty.jpg", "folder.jpg", "none.jpg"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        os.mkfifo(tmp_path / "text.xmp")
        names.append("pipe.jpg")
    for name in names:
        assert read(str(tmp_path / name)) == Metadata()


def test_hostile_pictures_say_nothing_harmful(shared_data: Path) -> None:
    for folder in ("hostile", "heif"):
        paths = [path for path in sorted((shared_data / folder).rglob("*")) if path.is_file()]
        assert paths, folder
        for path in paths:
            began = time.process_time()
            read(str(path))
            assert time.process_time() - began < 2, path.name


# Forms


@pytest.mark.parametrize(
    ("degrees", "sides", "written"),
    [
        (52.0, "NS", "52,0.0N"),
        (52 + 30.5 / 60, "NS", "52,30.5N"),
        (-13.4, "EW", "13,24.0W"),
        (10 + 59.99999999 / 60, "EW", "11,0.0E"),
    ],
)
def test_coordinates(degrees: float, sides: str, written: str) -> None:
    assert coordinate_of(degrees, sides) == written
    assert degrees_of(written) == pytest.approx(degrees, abs=1e-8)


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2020:05:01 10:00:00", "2020-05-01T10:00:00"),
        ("2020-05-01T10:00Z", "2020-05-01T10:00:00"),
        ("1975", "1975"),
        ("1975-06", "1975-06"),
        ("1975-00-00", None),
        ("    :  :     :  :  ", None),
        ("", None),
    ],
)
def test_dates(written: str, date: str | None) -> None:
    assert date_of(written) == date


# Merging


def tree(xmp: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(xmp.decode())


def words(xmp: bytes, name: str) -> list[str | None]:
    return [item.text for item in tree(xmp).findall(f".//{name}//rdf:li", XMLNS)]


def attribute(xmp: bytes, name: str) -> str | None:
    prefix, _, local = name.partition(":")
    [description] = tree(xmp).findall("rdf:RDF/rdf:Description", XMLNS)
    return description.get(f"{{{XMLNS[prefix]}}}{local}")


def test_a_new_sidecar_says_what_the_copies_say(jpeg: Callable[..., str], tmp_path: Path) -> None:
    keeper = jpeg("a.jpg", exif=None)
    first = jpeg("b.jpg", exif=camera_exif())
    second = jpeg("c.jpg", sidecar=packet(bag("dc:subject", "Oma", "See &amp; Berg"), 'xmp:Rating="5"'))
    third = jpeg("d.jpg", sidecar=packet(alt("dc:description", "Wir"), "", ""))
    merge = merged_sidecar(keeper, [first, second, third])
    assert merge is not None
    assert merge.sidecar == str(tmp_path / "a.xmp")
    assert merge.lines == (
        "rating 5, from c.jpg",
        "tags Oma, Garten, See & Berg, from b.jpg and c.jpg",
        "caption “Wir”, from d.jpg",
        "place 52.50833, -13.40000, from b.jpg",
        "date 2020-05-01T10:00:00, from b.jpg",
    )
    assert merge.xmp.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n')
    assert merge.xmp.endswith(b'<?xpacket end="w"?>\n')
    assert attribute(merge.xmp, "xmp:Rating") == "5"
    assert attribute(merge.xmp, "exif:GPSLatitude") == "52,30.5N"
    assert attribute(merge.xmp, "exif:GPSLongitude") == "13,24.0W"
    assert attribute(merge.xmp, "exif:DateTimeOriginal") == "2020-05-01T10:00:00"
    assert attribute(merge.xmp, "photoshop:DateCreated") == "2020-05-01T10:00:00"
    assert words(merge.xmp, "dc:subject/rdf:Bag") == ["Oma", "Garten", "See & Berg"]
    assert words(merge.xmp, "dc:description/rdf:Alt") == ["Wir"]
    # Nothing is written by the merge itself; once it is, there is nothing left to merge.
    assert not (tmp_path / "a.xmp").exists()
    (tmp_path / "a.xmp").write_bytes(merge.xmp)
    assert merged_sidecar(keeper, [first, second, third]) is None


def test_what_the_keeper_says_stays(jpeg: Callable[..., str], tmp_path: Path) -> None:
    inner = (
        "<!-- by hand -->"
        + bag("dc:subject", "Garten")
        + alt("dc:description", "Mine")
        + '<other:thing xmlns:other="urn:other" other:a="1&#10;2 &quot;3&quot;">text &amp; more<other:deep/>'
        + "</other:thing>"
    )
    outer = '<rdf:Description rdf:about="" crs:Exposure2012="+0.35"/>'
    sidecar = (
        b"<?xpacket begin='' id='mine'?>" + packet(inner, 'xmp:Rating="4"', outer) + b"<?xpacket end='r'?>"
    )
    keeper = jpeg("a.jpg", sidecar=sidecar)
    other = jpeg(
        "b.jpg",
        sidecar=packet(bag("dc:subject", "Oma") + alt("dc:description", "Theirs"), 'xmp:Rating="2"'),
    )
    merge = merged_sidecar(keeper, [other])
    assert merge is not None
    assert merge.lines == ("tags Oma, from b.jpg",)
    before = [element for element in tree(sidecar).iter() if element.tag != f"{{{XMLNS['rdf']}}}li"]
    after = [element for element in tree(merge.xmp).iter() if element.tag != f"{{{XMLNS['rdf']}}}li"]
    assert [(e.tag, e.attrib, e.text) for e in after] == [(e.tag, e.attrib, e.text) for e in before]
    assert words(merge.xmp, "dc:subject") == ["Garten", "Oma"]
    assert b"<!-- by hand -->" in merge.xmp
    assert merge.xmp.count(b"<?xpacket") == 2
    assert merged_sidecar(keeper, [keeper]) is None


def test_a_rating_in_an_element_is_replaced(jpeg: Callable[..., str]) -> None:
    keeper = jpeg("a.jpg", sidecar=packet("<xmp:Rating>2</xmp:Rating>"))
    other = jpeg("b.jpg", sidecar=packet("", 'xmp:Rating="3"'))
    merge = merged_sidecar(keeper, [other])
    assert merge is not None
    assert tree(merge.xmp).find(".//xmp:Rating", XMLNS) is None
    assert attribute(merge.xmp, "xmp:Rating") == "3"


@pytest.mark.parametrize(("own", "theirs"), [("4", "3"), ("3", "3"), ("-1", "0"), ("5", "-1")])
def test_a_rating_that_is_not_higher_changes_nothing(own: str, theirs: str, jpeg: Callable[..., str]) -> None:
    keeper = jpeg("a.jpg", sidecar=packet("", f'xmp:Rating="{own}"'))
    assert merged_sidecar(keeper, [jpeg("b.jpg", sidecar=packet("", f'xmp:Rating="{theirs}"'))]) is None


def test_hierarchies_are_merged_in_the_forms_that_are_there(jpeg: Callable[..., str]) -> None:
    inner = bag("dc:subject", "Berlin") + bag("lr:hierarchicalSubject", "places|Berlin")
    inner += bag("digiKam:TagsList", "places/Berlin", kind="Seq")
    keeper = jpeg("a.jpg", sidecar=packet(inner))
    other = bag("dc:subject", "Oma", "Berlin", "Rom") + bag("lr:hierarchicalSubject", "places|Rom")
    merge = merged_sidecar(keeper, [jpeg("b.jpg", sidecar=packet(other))])
    assert merge is not None
    assert words(merge.xmp, "dc:subject") == ["Berlin", "Oma", "Rom"]
    assert words(merge.xmp, "lr:hierarchicalSubject/rdf:Bag") == ["places|Berlin", "places|Rom", "Oma"]
    assert words(merge.xmp, "digiKam:TagsList/rdf:Seq") == ["places/Berlin", "places/Rom", "Oma"]


def test_the_keepers_own_tags_in_the_picture_are_in_the_new_sidecar(jpeg: Callable[..., str]) -> None:
    keeper = jpeg("a.jpg", xmp=packet(bag("dc:subject", "Mine")))
    merge = merged_sidecar(keeper, [jpeg("b.jpg", xmp=packet(bag("dc:subject", "Theirs")))])
    assert merge is not None
    assert words(merge.xmp, "dc:subject") == ["Mine", "Theirs"]


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        ([], "a.xmp"),
        (["a.txt"], "a.xmp"),
        (["a.heic"], "a.jpg.xmp"),
        (["a.xmp"], "a.xmp"),
        (["a.XMP"], "a.XMP"),
        (["a.jpg.xmp", "a.xmp"], "a.jpg.xmp"),
        (["a.xmp", "a.heic"], "a.xmp"),
        (["A.Xmp"], "A.Xmp"),
        (["A.JPG.xmp", "a.xmp"], "A.JPG.xmp"),
        (["A.HEIC"], "a.jpg.xmp"),
    ],
)
def test_where_the_sidecar_lies(
    beside: list[str], name: str, jpeg: Callable[..., str], tmp_path: Path
) -> None:
    keeper = jpeg("a.jpg")
    other = jpeg("else/b.jpg", exif=camera_exif())
    for item in beside:
        (tmp_path / item).write_bytes(packet())
    merge = merged_sidecar(keeper, [other])
    assert merge is not None
    assert merge.sidecar == str(tmp_path / name)


def test_a_sidecar_is_read_whatever_the_case_of_its_name(jpeg: Callable[..., str], tmp_path: Path) -> None:
    path = jpeg("IMG.JPG")
    (tmp_path / "img.Xmp").write_bytes(packet("", 'xmp:Rating="4"'))
    assert read(path).rating == 4
    (tmp_path / "IMG.jpg.xmp").write_bytes(packet("", 'xmp:Rating="5"'))
    assert read(path).rating == 5
    (tmp_path / "IMG2.xmp").write_bytes(packet(bag("dc:subject", "another")))
    assert read(path).tags == ()


def test_a_sidecar_that_cannot_be_read_is_not_replaced(jpeg: Callable[..., str]) -> None:
    keeper = jpeg("a.jpg", sidecar=BOMB.encode())
    with pytest.raises(PhotoUnreadable, match=r"a\.xmp: .*document type"):
        merged_sidecar(keeper, [jpeg("b.jpg", exif=camera_exif())])


def test_foreign_prefixes_and_codes_are_kept(jpeg: Callable[..., str]) -> None:
    text = (
        '<?xml version="1.0" encoding="utf-16"?><RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<Description xmlns:dc="urn:not-dublin-core" dc:x="ä"/></RDF>'
    )
    keeper = jpeg("a.jpg", sidecar=text.encode("utf-16"))
    merge = merged_sidecar(keeper, [jpeg("b.jpg", xmp=packet(bag("dc:subject", "Oma"), 'xmp:Rating="3"'))])
    assert merge is not None
    [description] = tree(merge.xmp).findall("rdf:Description", XMLNS)
    assert description.get("{urn:not-dublin-core}x") == "ä"
    assert description.get(f"{{{XMLNS['xmp']}}}Rating") == "3"
    assert [item.text for item in description.findall("dc:subject/rdf:Bag/rdf:li", XMLNS)] == ["Oma"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4))
def test_any_tag_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, tags: list[str]) -> None:
    from simsearch.dedup.metadata.properties import facts_of, write
    from simsearch.dedup.metadata.xmp import empty_packet, parse, plain

    clean = list(dict.fromkeys(tag for text in tags if (tag := plain(text).strip())))
    written = empty_packet()
    write(written, Metadata(tags=tuple(clean), caption="".join(clean) or None))
    back = facts_of(parse(written.to_bytes()))
    assert list(back.tags) == clean
