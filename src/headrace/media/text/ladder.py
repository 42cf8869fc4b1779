"""The robustness ladder of texts, as `headrace.media.Ladder` describes it.

Source of the traditional characters: the General List of Simplified Chinese Characters
(State Language Commission, 1964, revised 1986), of which these are the most frequent
pairs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headrace.media.text.texts import Texts, as_column
from headrace.records import DataDescription

UNITS = {
    "typos": "share of characters that are swapped, doubled or lost",
    "upper case": "share of words",
    "lower case": "share of texts",
    "dropped words": "share of words",
    "truncation": "share of words left",
    "wrong encoding": "share of texts of UTF-8 read as Latin-1",
    "dropped characters": "share of characters",
    "full width": "share of texts whose letters, digits and marks are full-width",
    "traditional": "share of texts in traditional Chinese characters",
}
LEVELS = {
    "typos": (0.02, 0.05, 0.1, 0.2),
    "upper case": (0.25, 0.5, 1.0),
    "lower case": (0.5, 1.0),
    "dropped words": (0.1, 0.25, 0.5, 0.75),
    "truncation": (0.75, 0.5, 0.25),
    "wrong encoding": (0.25, 0.5, 1.0),
    "dropped characters": (0.02, 0.05, 0.1, 0.2),
    "full width": (0.5, 1.0),
    "traditional": (0.5, 1.0),
}
# U+FF01 to U+FF5E are the visible characters of ASCII, as wide as Chinese ones.
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}
# Characters that stand for one traditional form alone, so that no dictionary of words
# is needed: 发, which is 發 or 髮, is left out.
_SIMPLIFIED = (
    "爱碍袄罢坝摆办帮宝报币毕边变标宾补参惨灿仓层产长尝偿厂车彻尘陈衬称诚惩迟齿虫础处"
    "触传疮创纯词辞聪丛错达带贷担单胆弹当党导灯邓敌递点电垫调订东冻动独读断对队吨夺儿"
    "尔饭访飞费纷坟奋风疯凤妇负该盖赶个给巩贡沟构购顾关观馆惯广规归贵国过还汉号红护华"
    "画话怀坏欢环换挥辉会绘货机积级极际继计记纪济夹价驾坚间艰监检简见渐践将讲奖酱胶较"
    "骄阶节结洁紧仅进劲惊经竞旧举剧据惧决觉绝军开课垦块矿亏扩来蓝兰览劳乐类泪离礼丽厉"
    "励连联脸练恋两疗辽猎临邻灵岭领刘龙楼录陆乱论罗马妈吗买卖满猫贸没门们梦灭亩难脑闹"
    "鸟宁农浓欧盘赔评凭苹齐骑启气迁钱浅墙桥亲轻请庆穷区趋权劝确让扰热认荣软洒赛伞丧扫"
    "杀晒伤赏烧绍设谁审圣胜师诗时实识势视试适书树术数帅双顺说丝苏诉虽随岁孙损缩态谈叹"
    "汤讨题体条铁听厅头图团万网为围卫伟问稳乌无务误习戏细虾吓县现线乡响项协写谢兴选学"
    "寻训压严盐颜验阳扬养样药爷业叶页医仪艺忆亿义议异译阴银饮应营拥优邮鱼与语誉远愿园"
    "员圆约阅运杂赞责则贼赠张账赵这针阵镇争证织职执纸质终种众昼猪烛专转装庄壮状资总组"
    "钻"
)
_TRADITIONAL = (
    "愛礙襖罷壩擺辦幫寶報幣畢邊變標賓補參慘燦倉層產長嘗償廠車徹塵陳襯稱誠懲遲齒蟲礎處"
    "觸傳瘡創純詞辭聰叢錯達帶貸擔單膽彈當黨導燈鄧敵遞點電墊調訂東凍動獨讀斷對隊噸奪兒"
    "爾飯訪飛費紛墳奮風瘋鳳婦負該蓋趕個給鞏貢溝構購顧關觀館慣廣規歸貴國過還漢號紅護華"
    "畫話懷壞歡環換揮輝會繪貨機積級極際繼計記紀濟夾價駕堅間艱監檢簡見漸踐將講獎醬膠較"
    "驕階節結潔緊僅進勁驚經競舊舉劇據懼決覺絕軍開課墾塊礦虧擴來藍蘭覽勞樂類淚離禮麗厲"
    "勵連聯臉練戀兩療遼獵臨鄰靈嶺領劉龍樓錄陸亂論羅馬媽嗎買賣滿貓貿沒門們夢滅畝難腦鬧"
    "鳥寧農濃歐盤賠評憑蘋齊騎啟氣遷錢淺牆橋親輕請慶窮區趨權勸確讓擾熱認榮軟灑賽傘喪掃"
    "殺曬傷賞燒紹設誰審聖勝師詩時實識勢視試適書樹術數帥雙順說絲蘇訴雖隨歲孫損縮態談嘆"
    "湯討題體條鐵聽廳頭圖團萬網為圍衛偉問穩烏無務誤習戲細蝦嚇縣現線鄉響項協寫謝興選學"
    "尋訓壓嚴鹽顏驗陽揚養樣藥爺業葉頁醫儀藝憶億義議異譯陰銀飲應營擁優郵魚與語譽遠願園"
    "員圓約閱運雜贊責則賊贈張賬趙這針陣鎮爭證織職執紙質終種眾晝豬燭專轉裝莊壯狀資總組"
    "鑽"
)
# By code point, as `str.translate` takes it.
TRADITIONAL = str.maketrans(_SIMPLIFIED, _TRADITIONAL)


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """All families, each with all of its levels, for any data."""
    return [(family, level) for family in UNITS for level in LEVELS[family]]


def shifted(
    items: Texts,
    family: str,
    level: float,
    data: DataDescription,
    random: np.random.Generator,
) -> Texts:
    """Texts uint8 ``(n, bytes)`` after one shift; the array may become wider.

    A text of which nothing would be left keeps its first word, or its first character
    where it is written without spaces.
    """
    if family not in UNITS:
        raise ValueError(f"texts have no family {family!r}")
    texts = [
        _one(text, family, level, random) or text[:1]
        for text in as_column(items).to_pylist()
    ]
    encoded = [text.encode() for text in texts]
    width = max([items.shape[1], *map(len, encoded)])
    return np.array([np.frombuffer(e.ljust(width, b"\0"), np.uint8) for e in encoded])


def _one(text: str, family: str, level: float, random: np.random.Generator) -> str:
    if family == "typos":
        return _typos(text, level, random)
    if family == "dropped characters":
        draws = random.random(len(text)).tolist()
        pairs = zip(text, draws, strict=True)
        return "".join(c for c, draw in pairs if draw >= level).strip()
    if family in _OF_TEXTS:
        return _OF_TEXTS[family](text) if random.random() < level else text
    # Texts without spaces, such as Chinese ones, have characters in place of words.
    words, joint = text.split(), " "
    if len(words) == 1 and len(text) > 20:
        words, joint = list(text), ""
    draws = random.random(len(words))
    if family == "upper case":
        parts = [
            word.upper() if draw < level else word
            for word, draw in zip(words, draws, strict=True)
        ]
    elif family == "dropped words":
        pairs = zip(words, draws, strict=True)
        parts = [word for word, draw in pairs if draw >= level] or words[:1]
    else:
        parts = words[: max(1, round(level * len(words)))]
    return joint.join(parts)


def _typos(text: str, share: float, random: np.random.Generator) -> str:
    characters = list(text)
    places = np.flatnonzero(random.random(len(characters)) < share)
    for place, kind in zip(places, random.integers(3, size=len(places)), strict=True):
        if kind == 0:
            characters[place] = ""
        elif kind == 1:
            characters[place] *= 2
        elif place + 1 < len(characters):
            pair = characters[place : place + 2]
            characters[place : place + 2] = pair[::-1]
    return "".join(characters).strip()


def _read_wrongly(text: str) -> str:
    """UTF-8 read as Latin-1, without the control characters that arise."""
    return "".join(c for c in text.encode().decode("latin-1") if c.isprintable())


# What is done to whole texts; the level is their share.
_OF_TEXTS: dict[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "wrong encoding": _read_wrongly,
    "full width": lambda text: text.translate(_FULL_WIDTH),
    "traditional": lambda text: text.translate(TRADITIONAL),
}
