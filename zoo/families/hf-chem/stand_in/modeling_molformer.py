"""A stand-in for a network that is published as code, with what a loader may trip over.

It is no copy of the published network. Like it, it has attention by random features, tables of
rotary positions that lie in no file of weights, and an initialization of its own that does not
compute these tables.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from .configuration_molformer import MolformerConfig


class Attention(nn.Module):
    """Linear attention: a random feature of a query times the sum over keys."""

    def __init__(self, config: MolformerConfig) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.keep = config.deterministic_eval
        size = width // self.heads
        self.register_buffer("omega", torch.randn(size, config.num_random_features))
        speeds = 100.0 ** -torch.linspace(0, 1, size // 2)
        angles = torch.arange(config.max_position_embeddings)[:, None] * speeds.repeat(2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return what each token reads of the others, (batch, tokens, width)."""
        if self.training or not self.keep:
            self.omega.normal_()
        split = (*states.shape[:2], self.heads, -1)
        query, key = (self.features(f(states).view(split)) for f in (self.query, self.key))
        key = key * mask[:, :, None, None]
        sums = torch.einsum("bthf,bthd->bhfd", key, self.value(states).view(split))
        total = torch.einsum("bthf,bhf->bth", query, key.sum(1))
        read = torch.einsum("bthf,bhfd->bthd", query, sums) / total[..., None]
        return self.output(read.flatten(2))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return random features of vectors that are rotated by their positions."""
        cos, sin = (table[: x.shape[1], None] for table in (self.cos, self.sin))
        first, second = x.chunk(2, dim=-1)
        return ((x * cos + torch.cat([-second, first], dim=-1) * sin) @ self.omega).relu() + 1e-3


class Layer(nn.Module):
    """Attention, then a network of one hidden layer."""

    def __init__(self, config: MolformerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention = Attention(config)
        self.dense_in, self.dense_out = nn.Linear(width, width), nn.Linear(width, width)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the next hidden states."""
        states = states + self.attention(self.norm_in(states), mask)
        return states + self.dense_out(self.dense_in(self.norm_out(states)).relu())


class MolformerPreTrainedModel(PreTrainedModel):
    """How weights are drawn, and under which prefix a file names them."""

    config_class = MolformerConfig
    base_model_prefix = "molformer"

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.data.normal_(std=0.2)


class MolformerModel(MolformerPreTrainedModel):
    """The encoder."""

    def __init__(self, config: MolformerConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """Return the last hidden states after the final norm; and all of them, where asked for.

        The final norm does not count to the last of all hidden states.
        """
        states = [self.embeddings(input_ids)]
        for layer in self.layers:
            states.append(layer(states[-1], attention_mask))
        return BaseModelOutput(
            last_hidden_state=self.norm(states[-1]),
            hidden_states=tuple(states) if output_hidden_states else None,
        )


class MolformerForMaskedLM(MolformerPreTrainedModel):
    """The encoder with the head that it was trained with, as the file of weights has it."""

    def __init__(self, config: MolformerConfig) -> None:
        super().__init__(config)
        self.molformer = MolformerModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()
