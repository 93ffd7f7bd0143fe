"""Identifiers of patients: how they look in a text, and what their columns are called."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

# Columns of Hospital Episode Statistics and of other patient-level data, as ``plain_name`` gives their names. A released table has none of them.
_COLUMNS = """
    epikey tokenpersonid personid personkey encryptedhesid pseudohesid hesid extracthesid newnhsno nhsno nhsnum nhsnumber pseudonhs pseudonhsnumber
    pseudonhsno nhsnoind localpatid localpatientid patientid patid patientkey pseudoid pseudonym hospitalnumber hospitalno casenote casenotenumber mrn chi
    chinumber dob mydob dateofbirth birthdate birthday dayofbirth monthofbirth yearofbirth birthmonth birthyear dobcfl homeadd homeaddress address
    postcode postalcode patientpostcode postdist pcds lsoa lsoa01 lsoa11 lsoa21 oa11 oa21 msoa11 startage endage startagecalc admiage ageatadmission
    activage admidate disdate epistart epiend elecdate dateofadmission admissiondate dateofdischarge dischargedate dateofdeath deathdate dod
    forename surname firstname lastname givenname familyname patientname admimeth admisorc admincat classpat epiorder epistat epidur epitype speldur spelbgn
    disdest dismeth procode procode3 procode5 procodet sitetret ccgresponsibility ccgresponsibilityorigin ccgresidence gpprac gppracticecode purcode ethnos sex
    intmanag mainspef tretspef provspno provspnops consult susrecid susspellid
"""
PATIENT_COLUMNS = frozenset(_COLUMNS.split())
NUMBERED_COLUMN = re.compile(r"(diag|opertn|opdate)(3|4)?\d\d")
PART_OF_NAME = re.compile(
    r"nhsno|nhsnum|hesid|dateofbirth|birthdate|postcode|personid|patientid|epikey|localpat|surname|forename|dob$"
)
# Names that no sentence of a report has; a log or a page that has one of them as a word shows rows or a query of rows.
NAMES_IN_TEXT = re.compile(
    r"(?<![0-9A-Za-z_])(EPIKEY|TOKEN_PERSON_ID|(?:ENCRYPTED_|PSEUDO_|EXTRACT_)?HESID|NEWNHSNO|NHSNO|PSEUDO_NHS\w*|LOCALPATID|MYDOB|HOMEADD)(?![0-9A-Za-z_])",
    re.IGNORECASE,
)  # fmt: skip

_START, _END = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_DECIMAL = r"(?<!\d\.)(?<![^A-Za-z]\.)"  # what follows a decimal point is a fraction
_GAP = r"[ .\-/_*`~|()]{1,3}"
# The letters that may run into a number, as in NHS9434765919.
_LABEL = r"(?:nhs|nhs ?no|nhs ?num(?:ber)?|patient|patid|pid|hesid|id|no)?"
NHS_NUMBER = re.compile(
    rf"{_START}{_DECIMAL}{_LABEL}(?:"
    r"(\d{10})(?:\.0+)?"
    rf"|(\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{4}})"
    r"|(\d{3}-?\d{3}-?\d{4})"
    r"|((?<!\d )\d(?: \d){9}(?! \d))"
    r"|((?<!\d,)\d,\d{3},\d{3},\d{3}(?!,\d))"
    r"|(\d\.\d{9}e\+?0?9)"
    rf"){_END}(?!\.\d)",
    re.IGNORECASE,
)
TOKEN = re.compile(
    rf"{_START}(?:[0-9a-f]{{32}}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}){_END}", re.IGNORECASE
)
BASE64 = re.compile(r"(?<![0-9A-Za-z+/=_-])[0-9A-Za-z+/]{22,48}={0,2}(?![0-9A-Za-z+/=_-])")
_AREAS = (
    "AB AL B BA BB BD BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH EN EX FK FY G GL GU GY HA HD HG HP HR HS HU HX IG IM "
    "IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N NE NG NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA "
    "TD TF TN TQ TR TS TW UB W WA WC WD WF WN WR WS WV YO ZE"
).replace(" ", "|")
POSTCODE = re.compile(
    rf"(?<![0-9A-Za-z#+/=_.-])(?:{_AREAS})\d[0-9A-Z]?[ -]{{0,3}}\d[ABD-HJLNP-UW-Z]{{2}}(?![0-9A-Za-z+/=_])"
)
_LOWER = re.compile(
    rf"(?<![0-9a-z#+/=_.-])(?:{_AREAS.lower()})\d[0-9a-z]? \d(?!st|nd|rd|th)[abd-hjlnp-uw-z]{{2}}(?![0-9a-z+/=_])",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = rf"(?:\d{{1,4}}[-/. ]\d{{1,2}}[-/. ]\d{{2,4}}|\d{{1,2}}(?:st|nd|rd|th)?[ -]{_MONTH},?[ -]\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}}|\d{{8}})"
BIRTH = re.compile(
    rf"{_START}(?:d\.?o\.?b\.?|date[ _]of[ _]birth|birth[ _]?da(?:te|y)|born(?: on)?)(?![a-z])[^0-9a-z]{{0,12}}{_DATE}(?!\d)",
    re.IGNORECASE,
)

FORMS = (("a postcode", POSTCODE), ("a postcode", _LOWER), ("a date of birth", BIRTH))

TAG = re.compile(r"<[^<>]{0,300}>")
ESCAPED = re.compile(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}", re.IGNORECASE)
PLAIN = {"Zs": " ", "Pd": "-", "Cf": None}  # categories of Unicode: blanks, dashes, and characters without width
MINUS = 0x2212
RUN = re.compile(r"[a-z]+|[A-Z]+|[0-9]+|[^0-9A-Za-z]+")
BROKEN = 0.4  # of the characters, as many runs of one kind: words and paths have fewer, random characters more


def identifiers(text: str) -> Iterator[tuple[str, str]]:
    """What in a text, as ``forms_of`` gives it, looks like an identifier of a person: what it is, and how it begins."""
    for match in NHS_NUMBER.finditer(text):
        digits = re.sub(r"\D", "", next(filter(None, match.groups())))[:10]
        if is_nhs_number(digits):
            yield "an NHS number", begins(digits)
    for what, form in FORMS:
        for match in form.finditer(text):
            yield what, begins(match[0])
    for match in (*TOKEN.finditer(text), *filter(_is_random, BASE64.finditer(text))):
        if len(set(match[0]) - {"-"}) > 2:
            yield "what looks like a person's token", begins(match[0])
    for match in NAMES_IN_TEXT.finditer(text):
        yield "the name of a column of patients", match[0]


def is_patient_column(name: str) -> bool:
    """Whether a column of this name is of patients or of their episodes."""
    plain = plain_name(name)
    return plain in PATIENT_COLUMNS or bool(NUMBERED_COLUMN.fullmatch(plain) or PART_OF_NAME.search(plain))


def plain_name(name: str) -> str:
    """A header without case, blanks and marks."""
    return re.sub(r"[^0-9a-z]", "", normal(name).lower())


def forms_of(text: str) -> list[str]:
    """The text, and as it reads without markup, character references and escapes."""
    forms = [normal(text)]
    other = ESCAPED.sub(lambda found: chr(int(found[0][2:], 16)), text) if "\\" in text else text
    other = TAG.sub("", html.unescape(other)) if "&" in other or "<" in other else other
    other = unquote(other) if re.search("%[0-9A-Fa-f]{2}", other) else other
    return forms if other is text else list(dict.fromkeys([*forms, normal(other)]))


def normal(text: str) -> str:
    """ASCII digits, blanks and hyphens in place of others, and no characters without width."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    changed: dict[int, str | None] = {}
    for character in filter(lambda c: not c.isascii(), set(text)):
        kind = unicodedata.category(character)
        if kind in PLAIN:
            changed[ord(character)] = PLAIN[kind]
        elif kind == "Nd":
            changed[ord(character)] = str(unicodedata.digit(character))
    return text.translate(changed | {MINUS: "-"})


def is_nhs_number(digits: str) -> bool:
    """Whether ten digits have the check digit of an NHS number (NHS Data Dictionary: modulus 11), and are no filler."""
    if len(set(digits)) == 1 or digits in "01234567890":
        return False
    return (11 - sum(int(d) * (10 - i) for i, d in enumerate(digits[:9])) % 11) % 11 == int(digits[9])


def begins(text: str) -> str:
    """Enough to find it, and too little to be one."""
    return f"{text[:3]}…"


def _is_random(word: re.Match[str]) -> bool:
    """Whether the characters of a word change between lower case, upper case and digits as those of a hash in base 64 do."""
    kinds = [
        any("a" <= c <= "z" for c in word[0]),
        any("A" <= c <= "Z" for c in word[0]),
        any(c.isdigit() for c in word[0]),
    ]
    return all(kinds) and len(RUN.findall(word[0])) >= BROKEN * len(word[0])
