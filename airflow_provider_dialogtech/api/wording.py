"""What a refusal means, by its words: DialogTech documents no codes."""

from __future__ import annotations

import re

# Never the bare word "exceed": "message exceeds 256 characters" is no throttling.
THROTTLED = re.compile(
    r"throttl"
    r"|too many (?:\w+ )?(?:requests|messages|texts|sms|calls)\b"
    r"|too (?:fast|quickly|frequent)"
    r"|\brate[ _-]?limit|\blimit(?:ed)?[ _-]rate|\brate (?:is |was |has been )?(?:exceed|too high)"
    r"|exceed\w* (?:\w+ ){0,4}rate\b"
    # "40 sms per number per 60 seconds", but neither "used as from" nor "after 8 am"
    r"|(?:limit|quota|maximum|max|allowed|exceed|only|sms|messages?|texts|requests)\b.{0,60}"
    r"(?:\b(?:per|a|an|each|every) (?:\d+ )?|/ ?(?:\d+ )?)(?:sec|seconds?|min|minutes?)\b"
    r"|(?:sms|messages?|texts|requests) ?(?:/|per) ?[sm]\b"
    r"|slow down|flood"
    r"|(?:try again|retry|wait) (?:in |after |for )?(?:at least )?(?:a few |a |\d+ )?"
    r"(?:s|sec|seconds?|moments?|minutes?)\b",
    re.IGNORECASE,
)

# What is "not authorized" may as well be a number or a recipient, and that refuses one text, not the account.
BAD_CREDENTIALS = re.compile(
    r"access[ _-]?key|api[ _-]?key|\b(?:secret|invalid|wrong|unknown|bad) key\b|credential|authenticat"
    r"|^\W*(?:(?:access|account|error|request|user|you are)\b\W*)?(?:un|not )authori[sz]ed\W*$"
    r"|authori[sz]ation (?:failed|required|denied)"
    r"|not logged in|log-?in (?:failed|invalid)|(?:failed|invalid|wrong) log-?in",
    re.IGNORECASE,
)
