"""A visitor's cart."""

from shop.catalogue.models import Product
from shop.testing import ShopTestCase, make_customer, make_product


class CartTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.kettle, cls.pan = make_product("Kettle", "19.90"), make_product("Pan", "35.00")

    def quantities(self):
        return {item.product.name: item.quantity for item in self.client.get("/cart/").context["items"]}

    def set(self, product, quantity):
        return self.client.post(f"/cart/{product.pk}/quantity/", {"quantity": quantity}, follow=True)

    def test_what_is_added_is_in_the_cart_with_its_sum(self):
        self.put_into_cart(self.kettle, 2)
        page = self.put_into_cart(self.pan)
        self.assertContains(page, "74.80 €")
        self.assertContains(page, '<span class="badge">3</span>')

    def test_more_of_a_product_is_added_to_what_is_there(self):
        self.put_into_cart(self.kettle, 2)
        self.put_into_cart(self.kettle, 1)
        self.assertEqual(self.quantities(), {"Kettle": 3})

    def test_a_quantity_is_changed_and_zero_takes_the_product_out(self):
        self.put_into_cart(self.kettle, 2)
        self.put_into_cart(self.pan)
        self.set(self.kettle, 5)
        self.set(self.pan, 0)
        self.assertEqual(self.quantities(), {"Kettle": 5})

    def test_a_quantity_that_is_no_number_changes_nothing(self):
        self.put_into_cart(self.kettle, 2)
        for quantity in ("-1", "100", "many", ""):
            self.assertContains(self.set(self.kettle, quantity), "Give a quantity from 0 to 99.")
        self.assertEqual(self.quantities(), {"Kettle": 2})

    def test_a_product_that_went_off_sale_is_not_in_the_cart(self):
        self.put_into_cart(self.kettle)
        Product.objects.filter(pk=self.kettle.pk).update(on_sale=False)
        self.assertEqual(self.quantities(), {})
        self.assertEqual(self.client.post(f"/cart/{self.kettle.pk}/add/", {"quantity": 1}).status_code, 404)

    def test_the_cart_says_of_what_there_is_not_enough(self):
        Product.objects.filter(pk=self.kettle.pk).update(stock=1)
        self.assertContains(self.put_into_cart(self.kettle, 2), "only 1 left")

    def test_the_cart_is_kept_when_its_owner_logs_in(self):
        self.put_into_cart(self.kettle)
        user = make_customer().user
        user.set_password("kettles and pans")
        user.save()
        self.client.post("/account/login/", {"username": user.username, "password": "kettles and pans"})
        self.assertEqual(self.quantities(), {"Kettle": 1})
