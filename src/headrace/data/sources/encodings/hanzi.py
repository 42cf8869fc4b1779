"""Tells whether decoded text is Chinese, by the share of common characters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# They are at least a third of a longer Chinese text, and an eighth of text in another
# language that was decoded as Chinese.
_COMMON = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之"
    "年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理"
    "心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高"
    "间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老"
    "给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女"
    "变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形"
    "社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程"
    "北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运笔风花云春秋夜江雨远千归君"
    "酒愁寒落深青红香玉歌客叶草石竹古去雪病老吃买喜欢快差钱店"
)
# The punctuation of Chinese text.
_MARKS = "，。、；：？！《》“”‘’（）—…·"
# Kana shows that text in another two-byte encoding was decoded by chance.
_KANA = (0x3040, 0x30FF)
_LEAST = 6
_LEAST_SHARE = 0.3


def is_chinese(codes: npt.NDArray[np.uint32]) -> bool:
    """Whether the non-ASCII code points ``(n,)`` can only be a Chinese text's."""
    wide = codes[codes > 127]
    han = wide[(wide >= 0x4E00) & (wide <= 0x9FFF)]
    marks = np.isin(wide, [ord(mark) for mark in _MARKS])
    kana = int(((wide >= _KANA[0]) & (wide <= _KANA[1])).sum())
    full_width = int(((wide >= 0xFF00) & (wide <= 0xFFEF)).sum())
    plausible = len(han) + int(marks.sum()) + full_width
    if len(han) < _LEAST or kana > 0.05 * len(han) or plausible < 0.9 * len(wide):
        return False
    common = np.isin(han, [ord(character) for character in _COMMON])
    return bool(common.mean() >= _LEAST_SHARE)
