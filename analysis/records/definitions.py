"""What is counted: codes of the NHS Data Dictionary and of ICD-10, with their sources."""

from __future__ import annotations

from analysis.protocol.vocabulary import EMERGENCY_METHODS

# A spell that is the sequel of one at another provider: by its method (81, any transfer; 2B) or the source of admission (49, 50 and
# 51 to 53: high-security, medium-secure, general, maternity and psychiatric beds of another provider; 87: a non-NHS hospital). These and the gap of
# at most two days are NHS Digital's rule for continuous inpatient spells, as compared by Busby, Purdy and Hollingworth,
# BMC Health Services Research 17:347 (2017), and Arabadzhyan et al., CHE Research Paper 182, supplement (2021).
TRANSFER_METHODS = ("81", "2B")
TRANSFER_SOURCES = ("49", "50", "51", "52", "53", "87")
LONGEST_GAP_DAYS = 2

ORDINARY = (
    "1"  # CLASSPAT: an ordinary admission; day cases, regular attenders and mothers with babies are other classes
)
LATEST_DISCHARGE = 1  # in days after the end of the last episode, which may be past midnight when the patient leaves
FINISHED = 3  # EPISTAT: a finished episode; 1 is one that goes on, which next year's file holds again

# Every value that the HES data dictionary (Admitted Patient Care) or the NHS Data Dictionary has for a column, of those in force now and
# before: 98 is "not applicable" and 99 "not known". EPISTAT 9, "derived unfinished", is said there to be absent from processed data.
EPISODE_STATUSES = (1, FINISHED)
ADMISSION_METHODS = (
    "11", "12", "13", "31", "32", "81", "82", "83", "84", "89", "98", "99", *EMERGENCY_METHODS,
)  # fmt: skip
ADMISSION_SOURCES = (
    "19", "29", "30", "37", "38", "39", "40", "41", "42", "48", "49", "50", "51", "52", "53", "54", "55", "56", "65", "66", "69", "79",
    "85", "86", "87", "88", "89", "98", "99",
)  # fmt: skip
PATIENT_CLASSES = (ORDINARY, "2", "3", "4", "5", "8", "9")
NO_EPISODE_ORDER = 98  # EPIORDER: 98 is not applicable and 99 not known
OLDEST = 120  # STARTAGE in years
BABIES = (7001, 7007)  # STARTAGE of those under a year

# Forms of codes. A site of an organisation has its code and two more characters; "00" stands for the organisation itself. Independent
# providers whose code begins with 8 or A have five characters of their own and no common beginning (Organisation Data Service; HES maps providers
# "at a three-character level for NHS organisations, but at a five-character level for independent sector organisations").
PROVIDER_FORM = r"^[0-9A-Za-z]{3}([0-9A-Za-z]{2,3})?$"
# Defaults of the Organisation Data Service for a provider without a code: outside the United Kingdom, and in it but not of the NHS.
NO_PROVIDER = ("89997", "89999")
WITH_SITES = (
    "R",
    "T",
    "5",
    "7",
    "N",
)  # NHS and care trusts, primary care trusts, Wales, independent providers of three characters
ORGANISATION_ITSELF = "00"
COMMISSIONER_FORM = r"^[0-9A-Z]{3}([0-9A-Z]{2})?$"
COMMISSIONER_WITH_SITE = r"^([0-9A-Z]{3})[0-9A-Z]{2}$"
PRACTICE_FORM = r"^[A-Za-z][0-9]{5}([0-9]{3})?$"  # a branch surgery has three more digits
# Default codes for a practice that was not recorded. V81997 is known: the patient has no practice.
NO_PRACTICE = ("V81998", "V81999")
PRACTICE_CHARACTERS = 6
DIAGNOSIS_FORM = "^[A-Za-z][0-9]{2}"

# Codes of the commissioner that are not English: Welsh local health boards (7A), Scotland (S), Northern Ireland (Z), the Channel
# Islands, the Isle of Man and abroad (X, Y).
OUTSIDE_ENGLAND = ("7A", "S", "Z", "X", "Y")

# ADMIDATE, DISDATE, EPISTART and EPIEND of 1 January 1800 and 1801 stand for null and for invalid in HES; nothing before 1930 is a date. Nor is
# anything after ``last_date`` of the protocol's [records]: other systems write 2099 or 9999-12-31 for a stay that goes on.
FIRST_DATE = "1930-01-01"

# Chronic ambulatory care sensitive conditions by primary diagnosis: NHS Outcomes Framework, indicator 2.3.i; three or four
# characters of ICD-10. The published indicator also asks for the absence of some procedures and secondary diagnoses, which are
# not looked at here.
AMBULATORY_CARE_SENSITIVE = {
    "chronic viral hepatitis B": ("B180", "B181"),
    "asthma": ("J45", "J46"),
    "congestive heart failure": ("I110", "I50", "J81", "I130"),
    "diabetes": ("E10", "E11", "E12", "E13", "E14"),
    "chronic obstructive pulmonary disease": ("J41", "J42", "J43", "J44", "J47"),
    "angina": ("I20", "I25"),
    "iron deficiency anaemia": ("D501", "D508", "D509", "D51", "D52"),
    "hypertension": ("I10", "I119"),
    "epilepsy": ("G40", "G41"),
    "dementia": ("F00", "F01", "F02", "F03"),
    "atrial fibrillation and flutter": ("I48",),
}

# What the counts are of, as every page and table says.
MARK = "made-up-"  # the beginning of every person of a made-up extract
PATIENTS, MADE_UP = "patient-level records", "made-up records, which are not data"

# Name → (label, definition). Days are nights in hospital: end of the last episode less admission of the continuous spell.
ADMISSIONS, BED_DAYS = "emergency_admissions", "emergency_bed_days"
PARTS = ("emergency_zero_day", "emergency_longer")  # of admissions
SENSITIVE = "ambulatory_care_sensitive"
BY_DAY = "emergency_bed_days_by_day"
LENGTH_OF_STAY = "mean_length_of_stay"  # bed days for an admission, made from safe counts
OUTCOMES = {
    ADMISSIONS: ("Emergency admissions", "continuous spells that begin with an emergency admission, by month of admission"),
    BED_DAYS: ("Emergency bed days", "nights of those spells, by month of admission"),
    BY_DAY: ("Emergency bed days, by day", "nights of those spells, by the month in which the night began"),
    PARTS[0]: ("Emergency admissions without a night", "those that end on the day of admission"),
    PARTS[1]: ("Emergency admissions with a night or more", "those that end on a later day"),
    SENSITIVE: (
        "Ambulatory care sensitive admissions",
        "emergency admissions whose first episode has a chronic ambulatory care sensitive condition as primary diagnosis",
    ),
}  # fmt: skip
