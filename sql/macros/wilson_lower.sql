-- wilson_lower(share, trials): lower end of the 95 % Wilson interval of a share seen in so many independent trials.
SELECT greatest(0.0, (share + 1.9208 / trials
    - 1.96 * sqrt((share * (1 - share) + 0.9604 / trials) / trials)) / (1 + 3.8416 / trials))
