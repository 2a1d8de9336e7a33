"""Writes down where Python's tokenizers finds the tokens of the lines in fixtures/data/token-ids.json, in units of
UTF-16 and without white space around them, and what it makes of the ids again: offsets.json.

Usage: make_offsets.py, with tokenizers.
"""

import json
import os

from tokenizers import Tokenizer

here = os.path.dirname(os.path.abspath(__file__))
data = os.path.join(here, '../../fixtures/data')
with open(os.path.join(data, 'token-ids.json'), encoding='utf8') as file:
    texts = json.load(file)['texts'][:36]


def place(text, start, end):
    own = text[start:end]
    start += len(own) - len(own.lstrip())
    end = max(start, end - (len(own) - len(own.rstrip())))
    return [len(text[:at].encode('utf-16-le')) // 2 for at in (start, end)]


found = {'texts': texts}
for kind in ['bpe', 'wordpiece', 'unigram', 'wordlevel']:
    tokenizer = Tokenizer.from_file(os.path.join(data, f'{kind}.json'))
    encoded = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    found[kind] = {
        'offsets': [
            [at for o in e.offsets for at in place(t, *o)] for t, e in zip(texts, encoded)
        ],
        'decoded': [tokenizer.decode(e.ids) for e in encoded],
    }
with open(os.path.join(here, 'offsets.json'), 'w', encoding='utf8') as out:
    json.dump(found, out, ensure_ascii=False, separators=(',', ':'))
