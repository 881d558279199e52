"""The configuration of the stand-in for the network that is published as code."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class MolformerConfig(PretrainedConfig):
    """Sizes, and whether random features are drawn once or in every call."""

    model_type = "molformer"

    def __init__(
        self,
        vocab_size: int = 32,
        hidden_size: int = 48,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 4,
        num_random_features: int = 16,
        max_position_embeddings: int = 202,
        deterministic_eval: bool = False,
        pad_token_id: int = 2,
        **others: Any,
    ) -> None:
        """Keep the sizes.

        Args:
            vocab_size: The number of tokens.
            hidden_size: The width.
            num_hidden_layers: The number of layers.
            num_attention_heads: The number of heads.
            num_random_features: How many random features stand for a head's similarity.
            max_position_embeddings: The length of the tables of positions.
            deterministic_eval: Whether an evaluated network keeps the random features.
            pad_token_id: The token that pads a batch.
            others: What every configuration of transformers has.
        """
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.num_random_features = num_random_features
        self.max_position_embeddings = max_position_embeddings
        self.deterministic_eval = deterministic_eval
        super().__init__(pad_token_id=pad_token_id, **others)
