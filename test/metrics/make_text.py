"""Reference values of BLEU and chrF by sacreBLEU, of exact match and F1 by torchmetrics (which has the
rules of the SQuAD script): make_text.py > text.json."""

import json
import random

import sacrebleu
from torchmetrics.functional.text import squad

random.seed(0)
WORDS = 'the a cat dog, sat on mat. 3.5 1,000 10-fold "yes" (no) &amp; it\'s Über naïve 東京 😀 well- x/y end... $5 100% <b>'.split()


def sentence(length):
    return ' '.join(random.choice(WORDS) for _ in range(length))


def noisy(text):
    words = [w if random.random() < 0.75 else random.choice(WORDS) for w in text.split()]
    return ' '.join(w for w in words if random.random() < 0.95)


def scores(found, wanted):
    width = max(len(w) for w in wanted)
    streams = [[w[i] if i < len(w) else None for w in wanted] for i in range(width)]
    return {'bleu': sacrebleu.corpus_bleu(found, streams).score, 'chrf': sacrebleu.corpus_chrf(found, streams).score}


translations = []


def translation(name, found, wanted):
    samples = [random.randrange(len(found)) for _ in found]
    translations.append({
        'name': name, 'found': found, 'wanted': wanted, 'samples': samples, 'expected': scores(found, wanted),
        'resampled': scores([found[i] for i in samples], [wanted[i] for i in samples]),
    })


texts = [sentence(random.randint(3, 20)) for _ in range(25)]
translation('one reference', [noisy(t) for t in texts], [[t] for t in texts])
translation('several references', [noisy(t) for t in texts], [[noisy(t) for _ in range(random.randint(1, 3))] for t in texts])
translation('equal', texts, [[t] for t in texts])
translation('nothing in common', ['aaa bbb ccc ddd eee'] * 3, [['vvv www xxx yyy zzz']] * 3)
translation('single words', ['cat', 'the', ''], [['cat'], ['a cat'], ['dog']])
translation('no long matches', ['cat the dog a mat sat on', 'a b c d e'], [['the cat sat on a mat dog'], ['e d c b a f']])

answers = []
for name, count in (('several answers', 30), ('one', 1)):
    rows = []
    for _ in range(count):
        wanted = [sentence(random.randint(1, 4)) + ' x' for _ in range(random.randint(1, 3))]
        found = random.choice([wanted[0].upper(), noisy(wanted[0]) + ' y', 'An ' + wanted[-1] + '!', sentence(2) + ' z'])
        rows.append({'found': found, 'wanted': wanted})
    value = squad(
        [{'prediction_text': r['found'], 'id': str(i)} for i, r in enumerate(rows)],
        [{'answers': {'answer_start': [0] * len(r['wanted']), 'text': r['wanted']}, 'id': str(i)} for i, r in enumerate(rows)],
    )
    answers.append({'name': name, 'rows': rows, 'expected': {k: v.item() / 100 for k, v in value.items()}})
print(json.dumps({'translations': translations, 'answers': answers}))
