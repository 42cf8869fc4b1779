import io

import numpy as np
import pytest

from headrace.data.sources.encodings import detection as encodings
from headrace.data.sources.encodings.detection import find_encoding
from headrace.data.sources.places.files import File
from headrace.errors import SourceError

CHINESE = (
    "标签,内容\n好评,这个酒店的服务很好，下次还会来住。\n差评,一点也不好，没有人来\n"
    * 9
)
FRENCH = "L'élève naïf a été déçu. C’est à Noël ; où êtes-vous ? « Très bien »… ÉCOLE\n"
GERMAN = "Die Straße ist schön, größer als früher. Äpfel für 5 €\n"
SPANISH = "¿Dónde está el niño? ¡Qué señal más rápida! Año nuevo\n"
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"
POLISH = "Zażółć gęślą jaźń. Dzień dobry, to jest bardzo dobry film. Źle się dzieje.\n"
HUNGARIAN = "Ez egy nagyon jó film volt. Őrült űrhajós, árvíztűrő tükörfúrógép\n"
# Few of its letters are "ű".
PLAIN_HUNGARIAN = (
    "A szobából szép kilátás nyílt a hegyekre, és a személyzet nagyon kedves volt. "
    "Az étteremben későn kaptunk ebédet, de a leves jó volt. Örömmel jövünk jövőre is, "
    "ha lesz időnk. Előző este esett az eső, ezért a kertben nem ülhettünk le.\n"
)
SLOVENIAN = (
    "Hotel leži blizu središča, sobe so čiste in osebje je prijazno. Za zajtrk smo "
    "čakali predolgo, večerja pa je bila še boljša, kot smo pričakovali. Žal je bila "
    "noč preveč hrupna, ker je bila ulica še živahna.\n"
)
CZECH = (
    "Hotel leží blízko řeky a pokoje jsou veliké. Večeře přišla pozdě, ale jídlo bylo "
    "dobré. Příště přijedeme v létě, děti se těší na koupání. Recepce je otevřena celé "
    "dopoledne a personál je ochotný.\n"
)
DANISH = (
    "Værelset var på første sal, og sengen var blød. Vi spiste frokost på torvet og så "
    "på søen. Børnene ønskede sig en café med is, più caffè.\n"
)
ESTONIAN = "Tuba oli väga hea, hommikusöök ja õhtusöök olid söödavad. Õues oli külm.\n"
PORTUGUESE = "As refeições são boas e os salões têm ar condicionado. Voltarei já!\n"
TURKISH = "Bu film çok güzeldi, şimdi ağlıyorum. Işığı söndür, yağmur yağıyor.\n"
KOREAN = "한국어 텍스트 분류를 위한 예문입니다. 오늘은 날씨가 매우 좋아서\n"
JAPANESE = "今日は天気がとても良いので、散歩に行きました。映画は本当に面白い\n"
TRADITIONAL = "標籤,內容\n好評,這個飯店的服務很好，下次還會來住。\n"


def _found(data):
    return find_encoding(File("x", len(data), lambda: io.BytesIO(data)))


@pytest.mark.parametrize(
    ("text", "written", "codec"),
    [
        ("plain\n", "ascii", "utf-8"),
        (CHINESE, "utf-8", "utf-8"),
        (CHINESE, "utf-8-sig", "utf-8-sig"),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE, "utf-16-le", "utf-16-le"),
        (CHINESE, "utf-16-be", "utf-16-be"),
        ("label,text\na,hello\n", "utf-16-le", "utf-16-le"),
        (CHINESE, "utf-32", "utf-32"),
        (CHINESE, "gbk", "gb18030"),
        (CHINESE, "gb18030", "gb18030"),
        (FRENCH, "cp1252", "cp1252"),
        (GERMAN, "cp1252", "cp1252"),
        (SPANISH, "latin-1", "cp1252"),
        *((text, "cp1252", "cp1252") for text in (DANISH, ESTONIAN, PORTUGUESE)),
        ("one caf\xe9\nmore\n", "latin-1", "cp1252"),
    ],
)
def test_the_encoding_is_found_and_gives_the_text_back(text, written, codec):
    data = text.encode(written)
    found = _found(data)
    assert (found.codec, found.errors) == (codec, "strict")
    assert data.decode(found.codec) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        *((RUSSIAN, name) for name in ("cp1251", "koi8-r", "cp866", "iso8859-5")),
        *((POLISH, name) for name in ("cp1250", "iso8859-2")),
        *((FRENCH.replace("’", "'"), name) for name in ("mac_roman", "cp850")),
        *((JAPANESE, name) for name in ("shift_jis", "euc_jp")),
        *((text, "cp1250") for text in (HUNGARIAN, PLAIN_HUNGARIAN, SLOVENIAN, CZECH)),
        (TURKISH, "cp1254"),
        (KOREAN, "euc-kr"),
        (TRADITIONAL, "big5"),
    ],
)
def test_what_may_be_another_encoding_is_refused(text, written):
    data = (text * 9).encode(written, "ignore")
    with pytest.raises(
        SourceError, match=r"x is not UTF-8 \(byte \d+ is 0x[0-9A-F]{2}"
    ):
        _found(data)


def test_a_refusal_tells_what_it_is_likely_to_be():
    with pytest.raises(SourceError, match=r"likely to be cp1251.*data\.encoding"):
        _found((RUSSIAN * 9).encode("cp1251"))


def test_guesses_come_with_what_they_read_so_that_people_can_tell():
    rows = [f"今日はとても良い天気ですね。{n},{n % 2}\n" for n in range(120)]
    seen = r"cp932 \('今日はとても良い天気です'\) or cp949 \('뜞"
    with pytest.raises(SourceError, match=f"likely to be {seen}"):
        _found("".join(rows).encode("shift_jis"))


def test_a_declared_encoding_is_held_against_the_bytes():
    data = (JAPANESE * 9).encode("shift_jis")
    file = File("x", len(data), lambda: io.BytesIO(data))
    assert find_encoding(file, "shift_jis").codec == "shift_jis"
    with pytest.raises(SourceError, match=r"not the utf-8 that data.encoding says"):
        find_encoding(file, "utf-8")


@pytest.mark.parametrize("size", [512, 5000])
def test_random_bytes_are_no_text(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    with pytest.raises(SourceError, match=r"x is not text: \d+ of its .* are control"):
        _found(data)


def test_zeros_and_escape_codes_are_no_text():
    for data in (bytes(99), JAPANESE.encode("iso2022_jp") * 9):
        with pytest.raises(SourceError, match=r"x is not text"):
            _found(data)


def test_utf8_that_is_damaged_in_places_keeps_its_other_rows():
    whole = CHINESE.encode()
    found = _found(whole[:99] + b"\xff" + whole[102:])
    assert (found.codec, found.errors) == ("utf-8", "surrogateescape")
    found = _found(b"\xef\xbb\xbf" + whole[:99] + b"\xff" + whole[102:])
    assert (found.codec, found.errors) == ("utf-8-sig", "surrogateescape")
    rare = b"plain text\n" * 900 + b"\xff\xfe\x80 here\n"
    assert _found(rare).errors == "surrogateescape"


@pytest.mark.parametrize(
    "data",
    [CHINESE.encode("utf-16")[:-1], b"\xef\xbb\xbf" + CHINESE.encode("gbk")],
)
def test_a_mark_that_lies_is_refused(data):
    with pytest.raises(SourceError, match=r"x is not the UTF-.* damaged at byte"):
        _found(data)


def test_what_is_cut_between_blocks_is_read_whole(monkeypatch):
    monkeypatch.setattr(encodings, "_BLOCK", 7)
    assert _found(CHINESE.encode()).codec == "utf-8"
    assert _found(CHINESE.encode("gbk")).codec == "gb18030"
    assert _found(CHINESE.encode("utf-16-be")).codec == "utf-16-be"
    assert _found(CHINESE.encode()[:-2]).errors == "surrogateescape"
