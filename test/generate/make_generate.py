"""Reference sequences by Hugging Face Transformers' generate: make_generate.py > generate.json.

The model is a table: logits of the next token by the last two tokens.
"""

import json

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

VOCABULARY = 6


class TableConfig(PretrainedConfig):
    model_type = 'table'

    def __init__(self, vocab_size=VOCABULARY, **kwargs):
        self.vocab_size = vocab_size
        self.num_hidden_layers = 1
        self.hidden_size = 1
        self.num_attention_heads = 1
        super().__init__(**kwargs)


class Table(PreTrainedModel, GenerationMixin):
    config_class = TableConfig
    _supports_cache_class = False

    def __init__(self, config, table):
        super().__init__(config)
        self.table = torch.nn.Parameter(table)

    def prepare_inputs_for_generation(self, input_ids, **kwargs):
        return {'input_ids': input_ids}

    def forward(self, input_ids, **kwargs):
        return CausalLMOutput(logits=self.table[input_ids[:, :-1], input_ids[:, 1:]])


cases = []
for seed in range(24):
    torch.manual_seed(seed)
    table = (torch.randn(VOCABULARY, VOCABULARY, VOCABULARY) * 2).float()
    table[..., 0] -= seed % 3 - 1
    model = Table(TableConfig(), table).eval()
    prompts = torch.randint(1, VOCABULARY, (3, 2))
    options = {
        'beams': [1, 2, 3, 5][seed % 4],
        'lengthPenalty': [1.0, 0.0, 2.0, -0.5][seed // 6],
        'earlyStopping': bool(seed % 2),
        'maxNewTokens': 4 + seed % 3 * 3,
        'eos': [0, 3] if seed % 5 == 4 else [0],
    }
    config = GenerationConfig(
        num_beams=options['beams'], length_penalty=options['lengthPenalty'], early_stopping=options['earlyStopping'],
        max_new_tokens=options['maxNewTokens'], eos_token_id=options['eos'], pad_token_id=0, do_sample=False, use_cache=False,
    )
    with torch.no_grad():
        found = model.generate(prompts, generation_config=config)
    rows = []
    for row in found[:, 2:].tolist():
        ends = [i for i, token in enumerate(row) if token in options['eos']]
        rows.append(row[: ends[0]] if ends else row)
    cases.append({'options': options, 'prompts': prompts.tolist(), 'table': [round(v, 6) for v in table.flatten().tolist()], 'expected': rows})
print(json.dumps(cases))
