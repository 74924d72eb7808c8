"""Real grids: terrain in degrees, an ocean section, reanalysis, a swath, a tripole."""

import numpy as np
import pytest
import xarray as xr

import cubekit as ck
from cubekit.operators.metric import metric_at

pytestmark = [
    pytest.mark.real,
    # what the files themselves are warned of: years before 1582, fills of packed data
    pytest.mark.filterwarnings("ignore::xarray.SerializationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:xarray"),
]


@pytest.fixture
def terrain(real):
    with xr.open_dataset(real / "colorado_dem" / "colorado_elev.nc") as file:
        return file.z.load()


def test_the_slope_of_colorado_is_that_of_its_spacing_in_metres(terrain):
    slope = ck.gradient(terrain, geographic=True)
    metric = metric_at(terrain.y.values)
    want_y, want_x = np.gradient(
        terrain.values, terrain.y.values, terrain.x.values, edge_order=2
    )
    np.testing.assert_allclose(slope[0], want_y / metric.north[:, None], atol=1e-12)
    np.testing.assert_allclose(slope[1], want_x / metric.east[:, None], atol=1e-12)
    # a degree of longitude is shorter than one of latitude, the more so in the north
    assert 0.72 < metric.east[-1] / metric.north[-1] < 0.74
    steepest = float(ck.gradient_magnitude(terrain, geographic=True).max())
    assert 0.4 < steepest < 0.5


def test_colorado_comes_back_from_its_gradient(terrain):
    back = ck.integrate_gradient(ck.gradient(terrain))
    assert float(abs(back - (terrain - terrain.mean())).max()) < 1e-9


def test_the_flattest_place_of_colorado_below_2500_m_is_flat(terrain):
    found = ck.flattest(terrain, below=2500, geographic=True)
    around = terrain.sel(
        y=slice(found.y - 0.02, found.y + 0.02), x=slice(found.x - 0.02, found.x + 0.02)
    )
    assert float(found.value) < 2500
    assert float(around.max() - around.min()) < 50


@pytest.fixture
def section(real):
    path = real / "phc2_ocean_section" / "za_PHC2_T_S_gx1v3.nc"
    with xr.open_dataset(path, decode_times=False) as file:
        return file.TEMP.isel(time=0, basins=0).load()


def test_an_ocean_section_has_its_uneven_depths_and_units(section):
    slope = ck.gradient(section, ("z_t", "lat_t"))
    want = np.gradient(
        section.values.astype(float),
        section.z_t.values.astype(float),
        axis=0,
        edge_order=2,
    )
    known = np.isfinite(want) & np.isfinite(slope[0].values)
    assert known.sum() > 14000
    size = float(np.nanmax(np.abs(want)))
    np.testing.assert_allclose(slope[0].values[known], want[known], atol=1e-5 * size)
    assert slope.units.values.tolist() == ["degC centimeters-1", "degC degrees_north-1"]
    with pytest.raises(ck.AxisMismatchError, match="'z_t' in centimeters"):
        ck.laplacian(section, ("z_t", "lat_t"))


def test_an_ocean_section_over_rough_ground_comes_back_from_its_gradient(section):
    scaled = section.astype(float).assign_coords(
        z_t=section.z_t.astype(float) / 1000, lat_t=section.lat_t.astype(float) * 111
    )
    back = ck.integrate_gradient(ck.gradient(scaled, ("z_t", "lat_t")), tolerance=1e-10)
    assert back.attrs["iterations"] <= 100
    error = (back - scaled).where(np.isfinite(back))
    assert float(abs(error - error.median()).quantile(0.9)) < 1e-6


@pytest.fixture
def reanalysis(real):
    path = real / "era_interim_uvz" / "eraint_uvz.nc"
    with xr.open_dataset(path) as file:
        return file.isel(month=0).sel(level=500).load()


GLOBE = {
    "coords": ("latitude", "longitude"),
    "geographic": True,
    "periodic": {"longitude": 360},
}


def test_descending_latitudes_give_the_numbers_of_ascending_ones(reanalysis):
    down = ck.gradient(reanalysis.z, **GLOBE)
    up = ck.gradient(reanalysis.z.sortby("latitude"), **GLOBE)
    size = float(abs(down).max())
    xr.testing.assert_allclose(up.sel(latitude=down.latitude), down, atol=1e-13 * size)
    assert np.isnan(down.sel(direction="longitude", latitude=[90, -90])).all()


def test_the_gradient_of_the_geopotential_blows_the_wind(reanalysis):
    slope = ck.gradient(reanalysis.z, **GLOBE)
    coriolis = 2 * 7.292e-5 * np.sin(np.radians(reanalysis.latitude))
    u = -slope.sel(direction="latitude") / coriolis
    v = slope.sel(direction="longitude") / coriolis
    middle = (abs(u.latitude) > 25) & (abs(u.latitude) < 75)
    assert float(xr.corr(u.where(middle), reanalysis.u.where(middle))) > 0.99
    assert float(xr.corr(v.where(middle), reanalysis.v.where(middle))) > 0.95


def test_the_tripolar_ocean_grid_knows_where_north_is(real):
    path = real / "orca2_curvilinear" / "orca2_votemper.nc"
    with xr.open_dataset(path, decode_times=False) as file:
        cube = file.votemper.squeeze().load()
    options = {"curvilinear": True, "geographic": True}
    names = ("nav_lat", "nav_lon")
    latitude = cube.copy(data=cube.nav_lat.values.astype(float))
    slope = ck.gradient(latitude, names, **options)
    length = metric_at(cube.nav_lat.values.astype(float)).north
    known = np.isfinite(slope[0].values)
    assert known.mean() > 0.95
    np.testing.assert_allclose((slope[0] * length).values[known], 1, atol=1e-5)
    assert float(np.abs(slope[1] * length).max()) < 1e-5
    warm = ck.gradient(cube, names, **options)
    assert float(abs(warm).max()) < 1e-4  # no jump at the date line or at the fold


def test_a_swath_has_the_slope_of_its_terrain(real):
    folder = real / "emit_l2a_mask_netcdf"
    (path,) = folder.glob("*.nc")
    with xr.open_dataset(path, group="location") as file:
        place = file[["lat", "lon", "elev"]].load()
    elevation = place.elev.assign_coords(lat=place.lat, lon=place.lon)
    slope = ck.gradient(elevation, ("lat", "lon"), curvilinear=True, geographic=True)
    assert slope.attrs["units"] == "1"
    steep = np.hypot(slope[0], slope[1])
    # as long as its pixels are: the rise from one to the next over their distance
    metric = metric_at(place.lat.values)
    north = np.diff(place.lat.values, axis=1) * metric.north[:, 1:]
    east = np.diff(place.lon.values, axis=1) * metric.east[:, 1:]
    rise = np.abs(np.diff(place.elev.values, axis=1)) / np.hypot(north, east)
    assert float(np.median(steep)) == pytest.approx(np.median(rise), rel=0.5)
    assert float(steep.max()) < 1
