"""What a refusal means, by its words: DialogTech documents no codes."""

from __future__ import annotations

import re

# Never the bare word "exceed": "message exceeds 256 characters" is no throttling.
THROTTLED = re.compile(
    r"throttl"
    r"|too many (?:requests|messages|texts|sms|calls)"
    r"|too (?:fast|quickly|frequent)"
    r"|\brate[ _-]?limit|\blimit(?:ed)?[ _-]rate|\brate (?:is |was |has been )?exceed|exceed\w* (?:\w+ ){0,4}rate\b"
    r"|(?:limit|quota|maximum|allowed|exceed|only|sms|messages|texts|requests)\b.{0,60}"
    r"(?:\bper|\ba|\beach|\bevery|/) ?(?:\d+ ?)?(?:s|sec|seconds?|m|min|minutes?)\b"
    r"|slow down|try again (?:in|after) (?:a few |\d+ )?(?:s|sec|seconds?|moments?|minutes?)\b",
    re.IGNORECASE,
)

BAD_CREDENTIALS = re.compile(
    r"access[ _-]?key|api[ _-]?key|credential|authenti|authori[sz]|not logged in|login (?:failed|invalid)|permission",
    re.IGNORECASE,
)
