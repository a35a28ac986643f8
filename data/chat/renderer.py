"""The process in which other people's chat templates are rendered: data/chat/template.py starts it.

A line of JSON in, {"template", "context", "parts"}; one out, {"texts"} or {"error"}. For each
(n, ask) of the parts there is what the template makes of the context, of its messages only the
first n, with `ask` as its add_generation_prompt. Jinja's sandbox keeps a template from the objects
around it, this process's limits from the machine's memory, and whoever waits for a line from its
time. The environment is that of transformers: its filters, raise_exception, strftime_now and
{% generation %}.
"""

import json
import resource
import sys
from datetime import datetime
from functools import lru_cache

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 1 << 30     # bytes
LONGEST = 1 << 26    # characters of what a template writes


class Generation(Extension):
    """{% generation %}...{% endgeneration %}, which marks what a model is trained on: as if it were
    not there."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def refuse(message):
    """What a template calls to refuse its messages."""
    raise TemplateError(str(message))


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    """The filter tojson, without Jinja's escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


@lru_cache(maxsize=8)
def compiled(source):
    """The template of a text."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=[loopcontrols, Generation])
    environment.filters["tojson"] = to_json
    environment.globals |= {"raise_exception": refuse,
                            "strftime_now": lambda format: datetime.now().strftime(format)}
    return environment.from_string(source)


def rendered(source, context):
    """What a template makes of a context."""
    pieces, size = [], 0
    for piece in compiled(source).generate(context):
        pieces.append(piece)
        size += len(piece)
        if size > LONGEST:
            raise MemoryError
    return "".join(pieces)


def answer(line):
    """What to say to a line."""
    try:
        asked = json.loads(line)
        context = asked["context"]
        return {"texts": [rendered(asked["template"], {
            **context, "messages": context["messages"][:n], "add_generation_prompt": ask})
            for n, ask in asked["parts"]]}
    except RecursionError:
        return {"error": "it calls itself without an end"}
    except MemoryError:
        return {"error": f"it takes more than {MEMORY >> 20} MB, or writes {LONGEST} characters"}
    except Exception as error:                   # whatever a template can raise
        return {"error": " ".join(str(error).split()) or type(error).__name__}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for asked in sys.stdin.buffer:
        said = json.dumps(answer(asked), ensure_ascii=False) + "\n"
        sys.stdout.buffer.write(said.encode(errors="surrogatepass"))
        sys.stdout.buffer.flush()
