-- t_quantile(degrees): the 97.5 % quantile of Student's t, by which a 95 % interval is wider than its standard error.
-- NULL below 2 degrees of freedom, that is below three clusters: fewer say nothing about how far they scatter. Degrees may
-- be fractions. A polynomial in 1 / degrees, fitted to scipy.stats.t from 2 to infinity; relative error below 2e-8.
SELECT CASE WHEN degrees >= 2 THEN
    1.9599639613225115 + (2.3722774835867773 + (2.8222187925935898 + (2.560694259499692 + (1.5476797879176076
    + (0.9299965430594529 + (0.1510461615118126 + 0.3527749809895779 / degrees) / degrees) / degrees) / degrees)
    / degrees) / degrees) / degrees
END
