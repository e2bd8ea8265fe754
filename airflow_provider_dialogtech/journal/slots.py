"""An account's schedule: the messages that count in its windows, and where another one fits."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from airflow_provider_dialogtech.journal.limits import (
    LONG_MARGIN,
    LONGEST_WINDOW,
    ROUNDED,
    RateLimits,
    Window,
    closed_spans,
    first_open,
    overflows,
)

# A message that alerts have displaced this often keeps its slot from then on.
MOST_DISPLACED = 2
# Between two messages of a full schedule, an alert would displace both. It waits this long for the slot of one.
WORTH_WAITING = 1.0


@dataclass(frozen=True)
class TakenSlot:
    """A message's place in the schedule.

    :param id: its row in the journal.
    :param number: the number it leaves from.
    :param at: its slot.
    :param may_move: whether an alert may take its slot: it is waiting, and has not been displaced too often.
    """

    id: int
    number: str
    at: float
    may_move: bool = False


@dataclass(frozen=True)
class Slot:
    """A slot that was found.

    :param at: when the message may leave.
    :param number: which of the numbers it leaves from, by its place among those asked for.
    :param displaced: the rows whose messages must take another slot.
    """

    at: float
    number: int
    displaced: tuple[int, ...] = ()


class AccountSlots:
    """The messages of an account that count in its windows.

    :param places: the messages, in any order.
    :param limits: what the account may send.
    :param extra_margin: by how many seconds the short windows are widened.
    :param left: when further messages left, ascending, by the number they left from.
    :param only_alerts_since: after this moment only alerts are sent, and they keep to their reserve, because earlier
        messages may be unknown.
    """

    def __init__(
        self,
        places: Iterable[TakenSlot],
        limits: RateLimits,
        extra_margin: float = 0.0,
        left: Mapping[str, Sequence[float]] = MappingProxyType({}),
        only_alerts_since: float = math.inf,
    ) -> None:
        self._places = sorted(places, key=lambda place: place.at)
        self._left = left
        self._of_account = limits.of_account(extra_margin)
        self._of_number = limits.of_number(extra_margin)
        self._of_ordinary = limits.of_ordinary()
        self._of_reserve = limits.of_reserve()
        self._only_alerts_since = only_alerts_since

    def slot(self, numbers: Sequence[str], not_before: float) -> Slot:
        """Find the first slot that all limits and the reserve for alerts allow.

        :param numbers: the numbers the message may leave from; the one whose slot comes first is taken.
        :param not_before: no slot is nearer.
        """
        at, _, number = min(self._slots(self._places, numbers, not_before, is_alert=False))
        return Slot(at, number)

    def slot_for_alert(self, numbers: Sequence[str], not_before: float) -> Slot:
        """Find the first slot as if the waiting messages did not exist, and the fewest of them that must be displaced.

        If two or more must be, a later slot that displaces one is preferred. Among numbers whose slots are equally
        near, the one with fewer displaced messages is taken.

        :param numbers: the numbers the alert may leave from.
        :param not_before: no slot is nearer.
        """
        fixed = [place for place in self._places if not place.may_move]
        found = self._nearest_for_alert(fixed, numbers, not_before)
        if len(found.displaced) <= 1:
            return found
        waiting = (place.at for place in self._places if place.may_move and place.number in numbers)
        for at in waiting:
            if found.at < at <= found.at + WORTH_WAITING:
                return self._nearest_for_alert(fixed, numbers, at)
        return found

    def _nearest_for_alert(self, fixed: Sequence[TakenSlot], numbers: Sequence[str], not_before: float) -> Slot:
        slots = self._slots(fixed, numbers, not_before, is_alert=True)
        nearest = min(at for at, _, _ in slots)
        found = []
        for at, used, number in slots:
            if at == nearest:
                displaced = tuple(self._in_the_way(at, numbers[number]))
                found.append((len(displaced), used, number, displaced))
        *_, number, displaced = min(found)
        return Slot(nearest, number, displaced)

    def _slots(
        self, places: Sequence[TakenSlot], numbers: Sequence[str], not_before: float, *, is_alert: bool
    ) -> list[tuple[float, int, int]]:
        """Find each number's first slot: its time, how much the number was used, and the number.

        Among numbers whose slots are equally near, the least used one is taken: otherwise some would wait for the end
        of their minute while another is hardly used.
        """
        by_number: defaultdict[str, list[float]] = defaultdict(list)
        for place in places:
            by_number[place.number].append(place.at)
        of_account = closed_spans([(self._of_account, self._account_since(not_before, places))], not_before)
        # Alerts count as well: ordinary messages give way to them, so the reserve is whole for the next alert.
        windows = self._of_number if is_alert else (*self._of_number, *self._of_ordinary)
        slots = []
        for index, name in enumerate(numbers):
            times = sorted([*self._left.get(name, ()), *by_number[name]])
            of_number = [(windows, times), (self._of_reserve, times[bisect_left(times, self._only_alerts_since) :])]
            at = first_open(not_before, of_account, closed_spans(of_number, not_before))
            slots.append((at, len(times), index))
        return slots

    def _account_since(self, at: float, places: Iterable[TakenSlot]) -> list[float]:
        """Return when the account's messages leave that share a window with one at this time or later, ascending."""
        first = at - max(window.seconds for window in self._of_account) - ROUNDED
        left = chain.from_iterable(times[bisect_left(times, first) :] for times in self._left.values())
        return sorted(chain(left, (place.at for place in places)))

    def _in_the_way(self, at: float, number: str) -> list[int]:
        """Choose the waiting messages that overflow a window together with an alert, as few as possible.

        The nearest neighbours share the most windows with it, so these are displaced first; those that fit in again
        stay.
        """
        line = _Neighbours(
            (self._of_account, self._account_since(at, self._places)),
            (
                self._of_number,
                sorted([*self._left.get(number, ()), *(place.at for place in self._places if place.number == number)]),
            ),
        )
        reach = LONGEST_WINDOW + LONG_MARGIN
        waiting = [place for place in self._places if place.may_move and abs(place.at - at) < reach]
        gone: list[TakenSlot] = []
        for place in sorted(waiting, key=lambda place: abs(place.at - at)):
            if not line.is_crowded(at):
                break
            if place.number == number or line.is_crowded_in_account(at):
                line.remove(place, of_number=place.number == number)
                gone.append(place)
        staying = set()
        for place in reversed(gone):
            line.add(place, of_number=place.number == number)
            if line.is_crowded(at):
                line.remove(place, of_number=place.number == number)
            else:
                staying.add(place.id)
        return [place.id for place in gone if place.id not in staying]


class _Neighbours:
    """The times around an alert, of its account and of its number, while messages are removed and put back."""

    def __init__(self, account: tuple[Sequence[Window], list[float]], number: tuple[Sequence[Window], list[float]]):
        self._account = account
        self._number = number

    def is_crowded(self, at: float) -> bool:
        return overflows(at, [self._account, self._number])

    def is_crowded_in_account(self, at: float) -> bool:
        return overflows(at, [self._account])

    def add(self, place: TakenSlot, *, of_number: bool) -> None:
        for times in self._lists(of_number):
            insort(times, place.at)

    def remove(self, place: TakenSlot, *, of_number: bool) -> None:
        for times in self._lists(of_number):
            del times[bisect_left(times, place.at)]

    def _lists(self, of_number: bool) -> list[list[float]]:
        return [self._account[1], self._number[1]] if of_number else [self._account[1]]
