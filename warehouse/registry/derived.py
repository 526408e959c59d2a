"""Meaning of columns that only views and marts have; the others keep the comment of the table they come from."""

from warehouse.registry.schema import Table

_MEANINGS = {
    "activation_gradient": "Largest gradient of the loss over layers, heads and q, k, v at this token [nats]",
    "all_control_exact_match": "control_exact_match where all weights are changed [tokens]",
    "all_target_exact_match": "target_exact_match where all weights are changed [tokens]",
    "attention_mean": "Mean attention on tokens of this rank [share]",
    "attention_sum": "Summed attention on tokens of this rank, the papers' construction [share]",
    "checkpoint_count": "Checkpoints of the series [checkpoints]",
    "continuation_nll_before_nats": "Mean NLL of the continuation before the edit [nats]",
    "control_cluster_count": "Clusters of the control group [clusters]",
    "control_exact_match": "Mean exact match of the controls [tokens]",
    "control_exact_match_before": "Mean exact match of the controls before the edit [tokens]",
    "control_gain": "Mean gain of the control group [tokens]",
    "control_nll_nats": "Mean NLL of the controls' continuations [nats]",
    "control_standard_error": "Standard error of control_exact_match over runs [tokens]",
    "degrees_of_freedom": "Welch's degrees of freedom",
    "difference": "Difference to the main policy [tokens]",
    "draw_count": "Perturbations behind the mean [draws]",
    "effect_tokens": "Difference in differences of exact match against the control group [tokens]",
    "even_share": "Share if layers were alike [share]",
    "exact_match_at_end": "Exact match at the last checkpoint of the series [tokens]",
    "exact_match_standard_error": "Standard error of the mean exact match over clusters [tokens]",
    "excess_over_position": "Rarity percentile minus what the position alone predicts [share]",
    "first_memorized_at": "First training step at which it is recited to the end [steps]",
    "flat_null": "What every position would cost if position did not matter [tokens]",
    "forgotten_at": "First later step at which it is not recited [steps]",
    "gain_mean": "Mean gain of exact match since the step before [tokens]",
    "gained_count": "Clusters newly recited at this checkpoint [clusters]",
    "greedy_share": "Share recited by greedy decoding [share]",
    "head_ref": "layer.head, 0-based",
    "held_out_exact_match": "Mean exact match of held-out targets [tokens]",
    "held_out_nll_nats": "Mean continuation NLL of paragraphs never trained on [nats]",
    "hit_count": "Clusters recited both early and late [clusters]",
    "is_control": "Whether the paragraph was a control of the edit",
    "is_last": "Whether it is the last of its series",
    "is_memorized_at_end": "Whether the last checkpoint recites it to the end",
    "is_memorized_before": "Whether the checkpoint before the edit recites it to the end",
    "is_target": "Whether the paragraph was a target of the edit",
    "kendall": "Kendall correlation of attention and rarity within paragraphs, mean over clusters",
    "kept_count": "Clusters recited here and at the checkpoint before [clusters]",
    "late_training_step": "Step of the last checkpoint of the series [steps]",
    "max_abs_mean": "Largest gradient entry, mean over paragraphs [nats per unit weight]",
    "mean_gradient_max_abs": "Largest entry of the gradient of the group's mean loss [nats per unit weight]",
    "near_duplicate_exact_match": "Mean exact match of near duplicates of the targets [tokens]",
    "null_share": "Share over all paragraphs: what every row would show if the grouping did not matter [share]",
    "null_tokens": "Effect if copies did not matter [tokens]",
    "other_memorized_exact_match": "Mean exact match of other memorized paragraphs [tokens]",
    "pearson": "Pearson correlation of attention and rarity within paragraphs, mean over clusters",
    "percentile": "How high the strongest trigger ranks in the head's attention, 0 to 1; 0.5 is chance [share]",
    "percentile_position_matched": "percentile for the head's attention in other clusters [share]",
    "percentile_q_value": "Benjamini-Hochberg q value of percentile over all heads",
    "placebo_bits": "Mean surprisal with bins dealt at random over clusters [bits]",
    "placebo_em_drop": "Mean EM drop with rarity shuffled within the paragraph [tokens]",
    "placebo_share": "Share with group labels dealt at random [share]",
    "placebo_tokens": "Effect with copies shuffled over clusters [tokens]",
    "points_at_triggers": "Whether the head hits more often than position explains, at q < 0.05",
    "position_matched_em_drop": "Mean EM drop of the same positions in other paragraphs [tokens]",
    "prefix_rarity_percentile": "Share of the prefix that is more common, ties counted half; 1 = rarest [share]",
    "prefix_rarity_rank": "Dense rank by corpus count within the prefix, 0 = rarest",
    "random_control_exact_match": "control_exact_match where as many random weights are changed [tokens]",
    "random_target_exact_match": "target_exact_match where as many random weights are changed [tokens]",
    "rarity_fifth": "Fifth of rarity within the prefix, 4 = rarest",
    "recovered_at": "First step after forgotten_at at which it is recited again [steps]",
    "series_id": "Name of the training run, stage and seed: the checkpoint's without step and tokens",
    "series_index": "Place in the series, 0 = earliest",
    "spearman": "Spearman correlation of attention and rarity within paragraphs; positive = looks at rare tokens",
    "spearman_placebo": "The same with the rarity of another cluster's prefix",
    "stage": "Stage of training that the name tells, such as stage2-ingredient1",
    "stage_rank": "Order of the stages of a suite",
    "suite_id": "Name of the training run without its stage",
    "suite_index": "Place in the suite through all its stages, 0 = earliest",
    "summed_by_rank": "Correlation of attention summed per rarity rank with the rank; negative = rare",
    "summed_uniform_null": "summed_by_rank for attention spread evenly",
    "target_exact_match": "Mean exact match of the targets [tokens]",
    "target_exact_match_before": "Mean exact match of the targets before the edit [tokens]",
    "target_nll_nats": "Mean NLL of the targets' continuations [nats]",
    "target_standard_error": "Standard error of target_exact_match over runs [tokens]",
    "text_preview": "Beginning of the text on one line",
    "token_nll_nats": "NLL of the token given the true text before it [nats]",
    "training_tokens": "Tokens seen, as the name tells [tokens]",
    "top_hit": "Clusters whose strongest trigger is the token the head looks at most [share]",
    "top_hit_chance": "top_hit of attention blind to tokens [share]",
    "top_hit_p_value": "p value against re-pairing attention and triggers of different clusters",
    "top_hit_position_matched": "top_hit for the head's attention in other clusters [share]",
    "top_hit_q_value": "Benjamini-Hochberg q value of top_hit over all heads",
    "unharmed_share": "Changes after which the whole continuation is still recited [share]",
    "unrelated_perplexity": "Perplexity of unrelated text after the edit",
    "unrelated_perplexity_before": "Perplexity of unrelated text before the edit",
}

_SUFFIXES = {
    "_exact_match_before": "Mean exact match of {} before the edit [tokens]",
    "_exact_match": "Mean exact match of {} [tokens]",
    "_perplexity_before": "Perplexity of {} text before the edit",
    "_perplexity": "Perplexity of {} text",
    "_before_nats": "{} before the edit [nats]",
    "_nll_nats": "Mean NLL of {} [nats]",
    "_standard_error": "Standard error of {}",
    "_lower": "Lower end of the 95 % interval of {}",
    "_upper": "Upper end of the 95 % interval of {}",
    "_null": "Value of {} if there were nothing to find",
    "_mean": "Mean of {}",
    "_share": "Share: {} [share]",
    "_count": "Number: {}",
}


def meaning(column: str, tables: dict[str, Table]) -> str:
    """Comment of a column of a view or mart: that of the table it comes from, else ours, else what its suffix says."""
    if column in _MEANINGS:
        return _MEANINGS[column]
    inherited = (c.comment for table in tables.values() for c in table.columns if c.name == column)
    return next(inherited, "") or _by_suffix(column)


def _by_suffix(column: str) -> str:
    for suffix, sentence in _SUFFIXES.items():
        if column.endswith(suffix):
            return sentence.format(column.removesuffix(suffix).replace("_", " "))
    return f"Whether it is {column.removeprefix('is_').replace('_', ' ')}" if column.startswith("is_") else ""
