"""Counting: what the tokenizer says, how near the estimates come, what pictures and whole requests cost."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    CustomTool,
    Grammar,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from augment_open_proxy.tokens.counter import PIECE, TokenCounter, for_model, pieces
from augment_open_proxy.tokens.images import claude_tokens, gpt_tokens, image_size, image_tokens
from augment_open_proxy.tokens.length import estimate, estimate_text, estimate_texts
from augment_open_proxy.tokens.request import CLAUDE_TOOL_PROMPT, PER_MESSAGE, count_request, estimate_request

COUNTER = TokenCounter()
count = COUNTER.count

PROSE = """\
The harbour was quiet when the ferry came in. Two men in yellow coats threw the ropes over the bollards, and a third,
who had been asleep on a crate of onions, woke up and began to count the passengers as they walked down the ramp. There
were fewer than he had expected. It was the last week of September, the hotels along the front had taken in their chairs
and umbrellas, and the only people who still crossed the strait were those who lived on one side and worked on the
other.

Nobody on the island could say with certainty who had built the lighthouse. The oldest document in the parish archive, a
receipt for forty barrels of lamp oil, was dated 1731, but the foundations looked much older, and a historian from the
mainland had once suggested that the Romans might have kept a signal fire there. "They kept fires everywhere," the
keeper's wife had answered, "so why not here?" The question was never settled, partly because the historian fell in love
with the postmistress and lost all interest in masonry.

For anyone who wants to visit, the following advice may be useful. Bring warm clothes, even in summer; the wind does not
stop at night. Do not rely on the bus, which runs when its driver feels well. Cash is still preferred in the shops, and
the one restaurant that accepts cards closes on Mondays and Tuesdays. Above all, be patient: most of what is worth
seeing takes an hour longer to reach than the map suggests, and is worth it.
"""

PYTHON = '''\
"""Reads measurements from a directory of CSV files and prints a summary for each sensor."""

import csv
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Sensor:
    name: str
    values: list[float] = field(default_factory=list)

    def add(self, raw: str) -> None:
        try:
            self.values.append(float(raw))
        except ValueError:
            raise ValueError(f"{self.name}: not a number: {raw!r}") from None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values) if self.values else 0.0

    def outliers(self, limit: float = 3.0) -> list[float]:
        """Values that are more than `limit` standard deviations away from the mean."""
        if len(self.values) < 2:
            return []
        deviation = statistics.stdev(self.values)
        return [value for value in self.values if abs(value - self.mean) > limit * deviation]


def read_all(folder: Path) -> dict[str, Sensor]:
    sensors: dict[str, Sensor] = defaultdict(lambda: Sensor("unknown"))
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                sensor = sensors.setdefault(row["sensor_id"], Sensor(row["sensor_id"]))
                sensor.add(row["value"])
    return sensors


def main() -> None:
    for name, sensor in read_all(Path("data")).items():
        print(f"{name:<20} n={len(sensor.values):>6} mean={sensor.mean:8.3f} outliers={len(sensor.outliers())}")


if __name__ == "__main__":
    main()
'''

TYPESCRIPT = """\
import { createHash } from "node:crypto";
import type { Request, Response, NextFunction } from "./http";

export interface CacheEntry<T> {
  readonly key: string;
  readonly value: T;
  expiresAt: number;
}

type Loader<T> = (key: string, signal: AbortSignal) => Promise<T>;

export class RequestCache<T> {
  private readonly entries = new Map<string, CacheEntry<T>>();

  constructor(private readonly load: Loader<T>, private readonly ttl = 60_000) {}

  async get(key: string, signal: AbortSignal): Promise<T> {
    const hashed = createHash("sha256").update(key).digest("hex");
    const found = this.entries.get(hashed);
    if (found !== undefined && found.expiresAt > Date.now()) {
      return found.value;
    }
    const value = await this.load(key, signal);
    this.entries.set(hashed, { key, value, expiresAt: Date.now() + this.ttl });
    return value;
  }

  prune(now: number = Date.now()): number {
    let removed = 0;
    for (const [hashed, entry] of this.entries) {
      if (entry.expiresAt <= now) {
        this.entries.delete(hashed);
        removed += 1;
      }
    }
    return removed;
  }
}

export function withCache<T>(cache: RequestCache<T>) {
  return async (req: Request, res: Response, next: NextFunction): Promise<void> => {
    try {
      res.json(await cache.get(req.url, req.signal));
    } catch (error) {
      next(error instanceof Error ? error : new Error(String(error)));
    }
  };
}
"""

C = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 64

struct node {
    char *word;
    unsigned long count;
    struct node *next;
};

static struct node *table[BUCKETS];

static unsigned int hash(const char *word)
{
    unsigned int value = 5381;
    while (*word != '\\0')
        value = value * 33 + (unsigned char)*word++;
    return value % BUCKETS;
}

/* Adds one to the count of a word, which is copied when it is new. */
static int add(const char *word)
{
    unsigned int index = hash(word);
    struct node *node;

    for (node = table[index]; node != NULL; node = node->next) {
        if (strcmp(node->word, word) == 0) {
            node->count++;
            return 0;
        }
    }
    node = malloc(sizeof(*node));
    if (node == NULL)
        return -1;
    node->word = strdup(word);
    node->count = 1;
    node->next = table[index];
    table[index] = node;
    return 0;
}

int main(void)
{
    char word[256];
    while (scanf("%255s", word) == 1) {
        if (add(word) < 0) {
            perror("malloc");
            return EXIT_FAILURE;
        }
    }
    for (int i = 0; i < BUCKETS; i++)
        for (struct node *node = table[i]; node != NULL; node = node->next)
            printf("%lu\\t%s\\n", node->count, node->word);
    return EXIT_SUCCESS;
}
"""

SCHEMA = {
    "name": "search_files",
    "description": "Searches the files of the project for a regular expression and returns the lines that match.",
    "input_schema": {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": "The regular expression to search for"},
            "path": {"type": "string", "description": "The folder to search in; the whole project by default"},
            "glob": {"type": "string", "description": "Only files whose names match, for example *.py"},
            "case_sensitive": {"type": "boolean", "default": False},
            "max_results": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "At most so many lines"},
        },
        "required": ["pattern"],
        "additionalProperties": False,
    },
}
ORDERS = {
    "orders": [
        {
            "id": f"ord_{number * 7919:06d}",
            "customer": {"name": name, "email": f"{name.split()[0].lower()}@example.com", "vip": number % 2 == 0},
            "items": [
                {"sku": f"AB-{number}{item}", "quantity": item + 1, "price": 4.5 * item + 9.95} for item in (1, 2)
            ],
            "placed_at": f"2026-03-{10 + number}T08:3{number}:00Z",
            "status": status,
            "notes": None,
        }
        for number, (name, status) in enumerate(
            [("Maria Costa", "shipped"), ("Tom Baker", "pending"), ("Ines Weber", "cancelled"), ("Li Na", "returned")]
        )
    ],
    "page": {"total": 4, "next": None},
}

GERMAN = """\
Der Zug hatte wieder einmal Verspätung, und auf dem Bahnsteig standen die Leute in kleinen Gruppen und redeten über das
Wetter. Eine ältere Dame fragte den Schaffner, ob sie ihren Anschluss in Würzburg noch erreichen würde; er zuckte mit
den Schultern und lächelte höflich. Später erzählte sie, dass sie seit über dreißig Jahren dieselbe Strecke fährt und
sich an keine einzige pünktliche Ankunft erinnern kann.
"""
RUSSIAN = """\
Вчера мы долго гуляли по берегу реки и говорили о том, как изменился наш город за последние десять лет. Там, где раньше
стояли старые деревянные дома, теперь построили большой торговый центр, а на месте школы открыли новую библиотеку.
"""  # noqa: RUF001
CHINESE = """\
昨天下午我们去了城里的图书馆，想找几本关于海洋历史的书。管理员告诉我们，大部分旧书已经搬到了新的大楼，需要提前预约才能借阅。
回家的路上下起了小雨，我们在一家小茶馆里坐了一会儿，听老板讲他年轻时出海的故事。
"""  # noqa: RUF001

SAMPLES = {
    "prose": PROSE,
    "python": PYTHON,
    "typescript": TYPESCRIPT,
    "c": C,
    "json, indented": json.dumps(ORDERS, indent=2),
    "json, compact": json.dumps([SCHEMA, ORDERS], separators=(",", ":")),
    "json with text": json.dumps({"messages": [{"role": "user", "content": PROSE + PYTHON}]}),
}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [  # by tiktoken 0.14
        ("", 0),
        ("hello world", 2),
        ("Hello, world!", 4),
        ("What's the weather like in San Francisco?", 8),
        ("def add(a, b):\n    return a + b\n", 12),
        ("12345678", 3),
        ("日本語のテキスト", 6),
        ("Привет, мир!", 5),
        ("👩‍👩‍👧", 8),
        (" " * 1000, 9),
        ("=" * 1000, 16),
        ("a" * 1000, 125),
        ("<|endoftext|>", 7),
    ],
)
def test_known_counts(text: str, tokens: int) -> None:
    assert count(text) == tokens


def test_half_a_character_counts_like_any_other_sign() -> None:
    assert count("a\ud83d b") == count("a? b")


def test_the_tokenizer_is_loaded_at_the_first_count() -> None:
    code = """
import sys
import augment_open_proxy.tokens.request
from augment_open_proxy.tokens.counter import TokenCounter
counter = TokenCounter()
assert not {"quicktok", "numpy"} & set(sys.modules)
assert counter.count("hello world") == 2
assert "quicktok" in sys.modules and "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_tokenizer_the_counts_are_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "quicktok", None)
    counter = TokenCounter()
    assert counter.count(PROSE) == estimate_text(PROSE)
    assert estimate_text(PROSE) != count(PROSE)


def test_other_threads_run_while_it_counts() -> None:
    count("")
    text = (PYTHON + PROSE) * 2000
    alone = time.perf_counter()
    count(text)
    alone = time.perf_counter() - alone
    thread = threading.Thread(target=count, args=(text,))
    thread.start()
    ticks = 0
    while thread.is_alive():
        time.sleep(alone / 100)
        ticks += 1
    assert ticks > 5


# Long texts


@given(st.text(max_size=300), st.integers(1, 50))
def test_pieces_are_the_text(text: str, most: int) -> None:
    parts = list(pieces(text, most))
    assert "".join(parts) == text
    assert all(len(part) <= most for part in parts)


words = st.text(st.characters(codec="utf-8", exclude_characters=" "), min_size=1, max_size=9).filter(
    lambda word: not word[-1].isspace()
)


@given(st.lists(words, min_size=1, max_size=60), st.integers(24, 60))
@example(["a\n", "'s", "\n\n", "//", "=", "\t", "1"], 24)
def test_cuts_before_blanks_change_no_count(parts: list[str], most: int) -> None:
    text = " ".join(parts)
    assert sum(map(count, pieces(text, most))) == count(text)


@given(st.text(max_size=400), st.integers(20, 200))
def test_other_cuts_change_little(text: str, most: int) -> None:
    parts = list(pieces(text, most))
    assert abs(sum(map(count, parts)) - count(text)) <= 8 * (len(parts) - 1)


@pytest.mark.parametrize("unit", ["a", " ", "\n", "=", "字", "PROSE", "base64"])
def test_a_long_text_takes_linear_time(unit: str) -> None:
    unit = {"PROSE": PROSE, "base64": base64.b64encode(bytes(range(256))).decode()}.get(unit, unit)
    text = unit * (8 * PIECE // len(unit))
    expected = 8 * count(unit * (PIECE // len(unit)))
    start = time.process_time()
    assert count(text) == pytest.approx(expected, rel=0.01)
    assert time.process_time() - start < 10


# Estimates


@pytest.mark.parametrize("name", SAMPLES)
def test_the_estimate_by_characters_is_near_the_count(name: str) -> None:
    text = SAMPLES[name]
    assert estimate_text(text) == pytest.approx(count(text), rel=0.15)
    assert estimate_text(text.encode()) == estimate_text(text)


def test_the_estimate_by_length_is_near_the_count_of_mixed_text() -> None:
    text = "".join(SAMPLES.values())
    assert estimate(len(text.encode())) == pytest.approx(count(text), rel=0.15)


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE])
def test_other_languages_are_estimated_too(text: str) -> None:
    assert estimate_text(text) == pytest.approx(count(text), rel=0.3)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_long_text_is_estimated_from_samples_of_it(name: str) -> None:
    text = SAMPLES[name]
    assert estimate_text(text * 100) == pytest.approx(100 * count(text), rel=0.18)
    assert estimate_text((text * 100).encode()) == estimate_text(text * 100)


def test_estimates_are_never_nothing() -> None:
    assert (estimate(0), estimate_text(""), estimate_text(b"")) == (1, 0, 0)


@given(st.text(st.characters(), min_size=1))
@example("=" * 1000)
@example(" " * 1000)
@example("\ud800")
def test_any_text_has_an_estimate(text: str) -> None:
    size = len(text.encode(errors="surrogatepass"))
    assert max(1, size // 64) <= estimate_text(text) <= 2 * size


def test_an_estimate_costs_little_however_long_the_text() -> None:
    text = PYTHON * 10_000
    start = time.process_time()
    for _ in range(10):
        estimate_text(text)
    assert (time.process_time() - start) / 10 < 0.1  # 0.15 ms where nothing else runs


@given(st.lists(st.sampled_from(["", "a", "é\n" * 40, PROSE, PROSE[:300] * 20, "🙂" * 5000]), max_size=40))
def test_texts_are_estimated_as_the_lines_of_one(texts: list[str]) -> None:
    assert estimate_texts(texts) == estimate_text("\n".join(texts))


# Models


@pytest.mark.parametrize(
    ("tokens", "model", "expected"),
    [
        (100, "gpt-5-4", 100),
        (100, "claude-opus-4-8", 120),
        (1, "claude-haiku-4-5", 2),
        (15, "claude-haiku-4-5", 18),
        (0, "claude-haiku-4-5", 0),
        (7, "gemini-3-1-pro-preview", 7),
    ],
)
def test_claude_has_more_tokens(tokens: int, model: str, expected: int) -> None:
    assert for_model(tokens, model) == expected


def test_the_factor_can_be_set() -> None:
    assert for_model(10, "claude-sonnet-4-5", 1.1) == 11
    assert for_model(10, "gpt-5", 1.1) == 10


# Pictures


def png(width: int, height: int) -> bytes:
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + size + b"\x08\x02\x00\x00\x00" + bytes(40)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes(40)


def jpeg(width: int, height: int, before: bytes = b"\xff\xe0\x00\x04JF", frame: int = 0xC0) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return b"\xff\xd8" + before + bytes([0xFF, frame]) + b"\x00\x11\x08" + size + bytes(40)


def webp(kind: bytes, content: bytes) -> bytes:
    return b"RIFF\x64\x00\x00\x00WEBP" + kind + b"\x40\x00\x00\x00" + content + bytes(40)


def vp8(width: int, height: int) -> bytes:
    return webp(b"VP8 ", b"\x10\x00\x00\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little"))


def vp8l(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little"))


def vp8x(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def jpeg_with_exif(width: int, height: int) -> bytes:
    tables = b"\xff\xc4\x00\x05abc" + b"\xff\xff\xff\xdb\x00\x03q"
    return jpeg(width, height, b"\xff\xe1\xff\xff" + jpeg(160, 120).ljust(65533, b"\xff") + tables, 0xC2)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


FORMATS = [png, gif, jpeg, jpeg_with_exif, vp8, vp8l, vp8x]
per_format = pytest.mark.parametrize("picture", FORMATS)


@per_format
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (1, 9999), (16383, 1)])
def test_the_size_of_a_picture(picture: Callable[[int, int], bytes], size: tuple[int, int]) -> None:
    assert image_size(encoded(picture(*size))) == size


@per_format
def test_a_picture_cut_anywhere_has_its_size_or_none(picture: Callable[[int, int], bytes]) -> None:
    data = encoded(picture(640, 480))
    for end in [*range(60), *range(len(data) - 100, len(data))]:
        assert image_size(data[:end]) in {None, (640, 480)}
        assert image_tokens(data[:end], "claude-opus-4-6") in {1369, 23 * 18}


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg/>", b"RIFF\x00\x00\x00\x00WAVEfmt ", webp(b"ALPH", b""), jpeg(0, 0), png(0, 5), b"\xff\xd8\xff\xe0"],
)
def test_what_has_no_size_costs_as_much_as_one_of_usual_size(data: bytes) -> None:
    assert image_size(encoded(data)) is None
    assert image_tokens(encoded(data), "claude-opus-4-6") == claude_tokens(1024, 1024)


@given(
    st.binary()
    | st.sampled_from([b"\xff\xd8\xff", b"RIFF1234WEBPVP8 ", b"GIF8"]).flatmap(lambda h: st.binary().map(h.__add__))
)
def test_any_bytes_have_a_size_or_none(data: bytes) -> None:
    size = image_size(encoded(data))
    assert size is None or all(side > 0 for side in size)


@given(st.text())
def test_any_text_in_place_of_base64_does(text: str) -> None:
    assert image_tokens(text, "gpt-5") > 0


def test_only_the_head_of_a_picture_is_decoded() -> None:
    endless = encoded(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000)
    start = time.process_time()
    assert image_size(encoded(png(640, 480)) + "!" * 10_000_000) == (640, 480)
    assert image_size(endless) is None
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("width", "height", "standard", "high"),
    [  # as Anthropic's pages have them, but for the last three
        (200, 200, 64, 64),
        (1000, 1000, 1296, 1296),
        (1920, 1080, 1560, 2691),
        (3840, 2160, 1560, 4784),
        (1075, 1520, 33 * 47, 2145),
        (1, 1, 1, 1),
        (8000, 1, 56, 92),
        (1, 8000, 56, 92),
    ],
)
def test_claude_sees_patches(width: int, height: int, standard: int, high: int) -> None:
    assert claude_tokens(width, height) == standard
    assert claude_tokens(width, height, high_resolution=True) == high


@given(st.integers(1, 20000), st.integers(1, 20000))
def test_no_picture_costs_claude_more_than_its_limit(width: int, height: int) -> None:
    assert 1 <= claude_tokens(width, height) <= 1568
    assert 1 <= claude_tokens(width, height, high_resolution=True) <= 4784
    assert claude_tokens(width, height) == claude_tokens(height, width)


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [(1024, 1024, 765), (2048, 4096, 1105), (512, 512, 255), (1, 1, 255), (10000, 1, 85 + 4 * 170)],
)
def test_gpt_sees_tiles(width: int, height: int, tokens: int) -> None:
    assert gpt_tokens(width, height) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-opus-4-6-500k", 1560),
        ("claude-sonnet-4-20250514", 1560),
        ("claude-3-5-sonnet-20241022", 1560),
        ("claude-haiku-4-5-20251001", 1560),
        ("claude-opus-4-7-xhigh", 2691),
        ("claude-sonnet-5", 2691),
        ("claude-opus-5-5", 2691),
        ("gpt-4o", 85 + 6 * 170),
        ("gpt-5-4", 70 + 6 * 140),
        ("gemini-3-1-pro-preview", 1120),
    ],
)
def test_the_model_decides_what_a_picture_costs(model: str, tokens: int) -> None:
    assert image_tokens(encoded(png(1920, 1080)), model) == tokens


# Requests

PICTURE = Image("image/png", encoded(png(640, 480)))
TOOL = Tool("search_files", "Searches files.", Raw(json.dumps(SCHEMA["input_schema"]).encode()))


def request(*parts: Part, model: str = "claude-opus-4-6", **fields: object) -> ChatRequest:
    return ChatRequest(model, (Message("user", parts),), **fields)  # type: ignore[arg-type]


def cost(*parts: Part, model: str = "claude-opus-4-6", **fields: object) -> int:
    """What the parts and fields add to an empty message."""
    return count_request(request(*parts, model=model, **fields), count) - count_request(request(model=model), count)


def test_the_example_of_the_documentation() -> None:
    asked = request(Text("Hello, Claude"), system=("You are a scientist",), model="claude-opus-5")
    assert count_request(asked, count) == 14


def test_text_counts_by_the_model() -> None:
    assert cost(Text(PROSE), model="gpt-5") == count(PROSE)
    assert cost(Text(PROSE)) == for_model(count(PROSE), "claude-opus-4-6")
    assert cost(Thinking(PROSE, "sealed")) == cost(Text(PROSE))
    assert cost(system=(PROSE,)) == cost(Text(PROSE))


def test_the_model_can_be_another_than_the_client_named() -> None:
    asked = request(Text(PROSE), model="opus4.6")
    assert count_request(asked, count, "claude-opus-4-6") == count_request(request(Text(PROSE)), count)
    assert count_request(asked, count, "gpt-5") == count_request(asked, count, "claude-opus-4-6", claude_factor=1.0)


def test_every_message_adds_a_little() -> None:
    message = Message("user", ())
    one, two = (count_request(ChatRequest("gpt-5", (message,) * number), count) for number in (1, 2))
    assert two - one == PER_MESSAGE


def test_calls_and_results_count() -> None:
    short = cost(ToolCall("c", "run", "{}"))
    long = cost(ToolCall("c", "run", json.dumps({"command": PROSE})))
    assert 0 < short < 30
    assert long - short == pytest.approx(for_model(count(PROSE), "claude-opus-4-6"), rel=0.05)
    result = cost(ToolResult("c", (Text(PROSE),)))
    assert cost(ToolResult("c", (Text(PROSE), PICTURE))) == result + 23 * 18
    assert result > cost(Text(PROSE))


def test_pictures_count_in_their_own_tokens() -> None:
    assert cost(PICTURE) == 23 * 18
    assert cost(PICTURE, PICTURE, Text("x")) == 2 * 23 * 18 + cost(Text("x"))


@pytest.mark.parametrize("kind", ["image", "document"])
def test_what_is_not_there_yet_counts_as_a_picture(kind: str) -> None:
    attachment = Attachment(kind, "messages[0].content[0]", url="https://example.com/a")  # type: ignore[arg-type]
    assert cost(attachment) == claude_tokens(1024, 1024)


def test_tools_count_with_all_that_describes_them() -> None:
    one = cost(tools=(TOOL,), model="gpt-5")
    assert one > count(json.dumps(SCHEMA["input_schema"]))
    assert cost(tools=(TOOL, TOOL), model="gpt-5") == 2 * one
    assert cost(tools=(Tool(TOOL.name, TOOL.description + PROSE, TOOL.schema),), model="gpt-5") > one + 200
    assert cost(tools=(TOOL,)) > CLAUDE_TOOL_PROMPT + one
    assert cost(tools=(TOOL, TOOL)) - cost(tools=(TOOL,)) < CLAUDE_TOOL_PROMPT
    plain = cost(tools=(CustomTool("patch", "Edits a file."),), model="gpt-5")
    grammar = Grammar("lark", "start: line+\nline: /.+/ NEWLINE\n")
    assert cost(tools=(CustomTool("patch", "Edits a file.", grammar),), model="gpt-5") > plain + 5


def test_the_estimate_of_a_request_is_near_its_count() -> None:
    asked = ChatRequest(
        "claude-opus-4-6",
        (
            Message("user", (Text(PROSE), PICTURE)),
            Message("assistant", (Thinking(PROSE), ToolCall("c", "read", json.dumps({"path": "a.py"})))),
            Message("user", (ToolResult("c", (Text(PYTHON * 3), Text(TYPESCRIPT))),)),
        ),
        (PROSE,),
        (TOOL,) * 5,
    )
    assert estimate_request(asked) == pytest.approx(count_request(asked, count), rel=0.15)
    assert estimate_request(ChatRequest("gpt-5", ())) > 0
